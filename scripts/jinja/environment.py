"""Chat templates as transformers renders them: the oracle of the tests of src/jinja."""
import datetime
import re

import jinja2
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2024, 7, 26, 9, 5, 3, 45000)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock


def render(template, variables):
    """The text, or None if the template cannot be parsed or refuses."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return re.sub(r"0x[0-9a-f]{6,}", "0x0", compiled.render(**variables))
    except RecursionError:
        raise
    except Exception:
        return None


def why(template, variables):
    """The error, for whoever looks into a difference."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return compiled.render(**variables)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def versions():
    import platform

    import transformers

    return f"jinja2 {jinja2.__version__}, transformers {transformers.__version__}, Python {platform.python_version()}"
