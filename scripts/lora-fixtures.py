"""Writes test/data/lora/: adapters for the golden models, and the logits of models that PEFT has merged them into.

    python scripts/lora-fixtures.py      (needs torch, transformers, peft and safetensors; the versions are written)

Weights of the adapters are random, exact in float32. PEFT merges in float64, and float64 logits are written as float32.
"""
import json
import os
import shutil

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "test", "golden")
OUT = os.path.join(HERE, "..", "test", "data", "lora")
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]

ADAPTERS = {
    "llama-patterns": ("llama-tiny", {
        "r": 3, "lora_alpha": 5, "target_modules": ["q_proj", "v_proj", "o_proj", "down_proj", "lm_head"],
        "rank_pattern": {"q_proj": 5, r"layers\.1\.mlp\.down_proj": 2},
        "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 9, "v_proj": 2},
    }),
    "llama-rslora": ("llama-tiny", {"r": 4, "lora_alpha": 6, "use_rslora": True, "target_modules": ["gate_proj", "k_proj"]}),
    "llama-saved": ("llama-tiny", {"r": 2, "target_modules": ["up_proj", "embed_tokens"], "modules_to_save": ["lm_head"]}),
    "gpt2-conv1d": ("gpt2-tiny", {"r": 4, "lora_alpha": 3, "fan_in_fan_out": True, "target_modules": ["c_attn", "c_proj", "c_fc"], "bias": "lora_only"}),
    "llama3-tied": ("llama3-tiny", {"r": 3, "lora_alpha": 4, "target_modules": ["lm_head", "o_proj"]}),
}


def base(name):
    return AutoModelForCausalLM.from_pretrained(os.path.join(GOLDEN, name), dtype=torch.float64)


def logits(model):
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].double()


def tidy(folder, golden):
    """Float32 tensors, and nothing of the machine that this runs on."""
    os.remove(os.path.join(folder, "README.md"))
    weights = os.path.join(folder, "adapter_model.safetensors")
    save_file({name: tensor.float() for name, tensor in load_file(weights).items()}, weights)
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    with open(path, "w") as file:
        json.dump({**config, "base_model_name_or_path": golden}, file, indent=2)
        file.write("\n")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    expected = {}
    for name, (golden, options) in ADAPTERS.items():
        torch.manual_seed(len(name))
        model = get_peft_model(base(golden), LoraConfig(task_type="CAUSAL_LM", **options))
        for key, value in model.named_parameters():
            if value.requires_grad:
                value.data = (torch.randn(value.shape) * 0.2 + value.data.float()).float().double()
        model.save_pretrained(os.path.join(OUT, name))
        tidy(os.path.join(OUT, name), golden)
        # Before merging: a merge would write an adapted head into the embedding that it shares.
        model.eval()
        expected[name] = logits(model).float().contiguous()
    scaled = PeftModel.from_pretrained(base("llama-tiny"), os.path.join(OUT, "llama-patterns"), adapter_name="one")
    scaled.load_adapter(os.path.join(OUT, "llama-rslora"), adapter_name="two")
    scaled.base_model.set_adapter(["one", "two"])
    for module in scaled.modules():
        if hasattr(module, "set_scale") and "one" in getattr(module, "lora_A", {}):
            module.set_scale("one", 0.5)
        if hasattr(module, "set_scale") and "two" in getattr(module, "lora_A", {}):
            module.set_scale("two", -2)
    scaled.eval()
    expected["two-scaled"] = logits(scaled).float().contiguous()
    versions = {"peft": peft.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
    save_file(expected, os.path.join(OUT, "expected.safetensors"), {"versions": json.dumps(versions)})


main()
