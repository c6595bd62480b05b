"""Writes test/data/jinja/cases.json: templates, variables, and what transformers renders (null: it refuses).

  python scripts/jinja/make-cases.py [EXPRESSIONS TEMPLATES]

The handmade cases come first, then random ones; give larger counts to look for differences.
"""
import json
import pathlib
import signal
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from conversations import CONVERSATIONS
from environment import render, versions
from generate import Generator
from handmade import MODELS
from small import SMALL, SMALL_VARIABLES

OUT = pathlib.Path(__file__).parents[2] / "test" / "data" / "jinja" / "cases.json"


class TooLong(Exception):
    pass


def give_up(*_):
    raise TooLong


def bounded(template, variables):
    """What is rendered within a second; raises TooLong else."""
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        return render(template, variables)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def works(variables):
    def check(expression):
        try:
            return bounded("{{ " + expression + " }}", variables) is not None
        except (TooLong, RecursionError, MemoryError):
            return False

    return check


def random_cases(expressions, templates):
    for seed in range(expressions + templates):
        generator = Generator(seed)
        variables = generator.variables()
        if seed < expressions:
            template = "{{ " + generator.expr(3) + " }}"
        else:
            generator.works = works(variables)
            template = generator.template()
        try:
            text = bounded(template, variables)
        except (TooLong, RecursionError, MemoryError):
            continue
        # Long ones show nothing that short ones do not, and addresses are not to be compared.
        if len(template) < 1500 and "0x" not in (text or "") and "0X" not in (text or ""):
            yield {"template": template, "variables": variables, "text": text}


def main():
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, give_up)
    expressions, templates = map(int, sys.argv[1:3] or (300, 120))
    specials = {"bos_token": "<s>", "eos_token": "</s>"}
    chats = {
        name: {**specials, "tools": None, "documents": None, "add_generation_prompt": True, **chat}
        for name, chat in CONVERSATIONS.items()
    }
    models = [
        {"template": source, "texts": {name: render(source, chat) for name, chat in chats.items()}}
        for source in MODELS.values()
    ]
    small = [{"template": source, "text": render(source, SMALL_VARIABLES)} for source in SMALL]
    cases = list(random_cases(expressions, templates))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with OUT.open("w", encoding="utf-8") as file:
        file.write('{"made": ' + json.dumps(f"by scripts/jinja/make-cases.py with {versions()}; the clock stands at 2024-07-26 09:05:03.045"))
        file.write(',\n"chats": ' + json.dumps(chats, ensure_ascii=False))
        file.write(',\n"variables": ' + json.dumps(SMALL_VARIABLES, ensure_ascii=False))
        for name, part in (("models", models), ("small", small), ("random", cases)):
            file.write(f',\n"{name}": [\n' + ",\n".join(json.dumps(case, ensure_ascii=False) for case in part) + "\n]")
        file.write("\n}\n")
    refused = sum(case["text"] is None for case in cases)
    print(f"{len(models)} models, {len(small)} small, {len(cases)} random cases of which {refused} are refused")


main()
