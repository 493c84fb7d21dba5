"""The two GPU images: which of them scripts/image takes, and how it starts it."""

from __future__ import annotations

import itertools
import os
import tomllib
from pathlib import Path

import pytest

from infra.cloud.image import image_for
from tests.helpers.bare import one_sentence, program, run
from tests.helpers.docker import DOCKERFILES, IMAGES, Machine
from training import settings
from training.common.errors import WrongUse
from training.model import smollm2
from training.model.base import NANO
from training.model.openai import SIZES

OLD, NEW = ("6.0", "7.0", "7.5", "8.0", "8.6"), ("8.9", "9.0", "10.0", "12.0")
GPT2 = (*SIZES, NANO)
NOT_GPT2 = (smollm2.NAME, "hf:Qwen/Qwen3-0.6B")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("gpu", [*OLD, *NEW])
def test_gpt_2_goes_where_the_gpu_lets_it(gpu: str, machine: Machine) -> None:
    machine.gpu(gpu)
    kind = "torch" if gpu in NEW else "tensorflow"
    assert {machine.chosen("--model", model) for model in GPT2} == {kind}
    assert machine.chosen() == machine.chosen("--model=124M") == kind
    assert machine.chosen("--trainer", "torch", IMAGE_KIND=kind) == kind
    assert machine.chosen("--trainer", "tensorflow") == machine.chosen("--recipe", "windows") == "tensorflow"


@pytest.mark.parametrize("gpu", [*OLD, *NEW])
def test_any_other_model_needs_pytorch_which_needs_turing(gpu: str, machine: Machine) -> None:
    machine.gpu(gpu)
    for words in (*(["--model", model] for model in NOT_GPT2), ["--trainer", "torch"]):
        if float(gpu) < 7.5:
            assert f"7.5 or later, and this one has {gpu}" in one_sentence(machine.image("build", *words))
        else:
            assert machine.chosen(*words) == "torch"


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["8.6", "8.9"], "torch"),
        (["12.0", "8.0"], "torch"),
        (["9.0", "10.0", "7.5"], "torch"),
        (["7.5", "8.6", "7.0"], "tensorflow"),
        (["[N/A]", "8.9"], "torch"),
        ([" 8.9\r"], "torch"),
        (['Field "compute_cap" is not a valid field to query.'], "tensorflow"),
        (["No devices were found"], "tensorflow"),
        (["12", "99.x", "-8.9"], "tensorflow"),
        ([""], "tensorflow"),
    ],
)
def test_of_several_gpus_the_newest_counts_and_no_answer_is_no_gpu(
    lines: list[str], kind: str, machine: Machine
) -> None:
    machine.gpu(*lines)
    assert machine.chosen() == kind


def test_without_nvidia_smi_the_model_decides(machine: Machine) -> None:
    assert machine.chosen() == machine.chosen("--model", "124M") == "tensorflow"
    assert {machine.chosen("--model", model) for model in NOT_GPT2} == {"torch"}
    program(machine.bin / "nvidia-smi", "echo NVIDIA-SMI has failed", "exit 9")
    assert machine.chosen() == "tensorflow" and machine.chosen("--trainer", "torch") == "torch"


@pytest.mark.parametrize("trainer", ["auto", "tensorflow", "torch"])
@pytest.mark.parametrize("recipe", ["texts", "windows"])
def test_the_jobs_in_aws_get_the_same_image(trainer: str, recipe: str, machine: Machine) -> None:
    """Where no GPU is asked, for there the machines are chosen by the image."""
    for model in (*GPT2, *NOT_GPT2):
        bot = settings.override(settings.Bot(), "", model=model)
        bot = settings.override(bot, "finetune", trainer=trainer, recipe=recipe)
        if (trainer == "torch" and recipe == "windows") or (
            model in NOT_GPT2 and "tensorflow" in (trainer, {"windows": "tensorflow"}.get(recipe))
        ):
            with pytest.raises(WrongUse):
                image_for(bot)
        else:
            here = machine.chosen("--model", model, "--trainer", trainer, "--recipe", recipe)
            assert here == image_for(bot).kind and image_for(bot).dockerfile == DOCKERFILES[here]


def test_a_folder_in_openai_s_layout_is_gpt_2(machine: Machine) -> None:
    for name, files, kind in (
        ("mine", ["hparams.json"], "tensorflow"),
        ("llama", ["config.json"], "torch"),
        ("both", ["config.json", "hparams.json"], "tensorflow"),
        ("neither", [], "tensorflow"),
    ):
        folder = machine.root / "models" / name
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).touch()
        assert machine.chosen("--model", f"models/{name}") == kind
        assert image_for(settings.override(settings.Bot(), "", model=str(folder))).kind == kind
    assert machine.chosen("--model", "124m") == "tensorflow", "a slip is not worth another image"


@pytest.mark.parametrize(
    "text",
    [
        "",
        'model = "smollm2-135m"\n',
        "count = 3\r\nmodel='hf:a/b'\r\n[sample]\r\nseed = 1\r\n",
        '\ufeffmodel = "hf:a/b"  # a comment with model = "124M"\n',
        '  "model"\t=\t"hf:a/b"',
        '# model = "smollm2-135m"\nmodel = "355M"\n',
        '[corpus]\nmodel = "smollm2-135m"\n',
        'name = "x"\n\n[finetune] # how\nmodel = "smollm2-135m"\ntrainer = "torch"\n',
        '[ finetune ]\nepochs = 2\ntrainer = "auto"\n[sample]\ntrainer = "torch"\n',
        'finetune.trainer = "torch"\n',
        'model = "nano"\n[finetune]\ntrainer = "tensorflow"\n',
        'models = "a"\nmodel_x = "a"\nname = "model = \'a\'"\n',
        "[filter]\nskip = [\n  \"band\",\n]\n[finetune]\ntrainer = 'torch'\n",
    ],
)
def test_the_bot_s_settings_are_read_as_toml(text: str, machine: Machine) -> None:
    """The oracle is Python's own reader of TOML."""
    read = tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    model = read.get("model", settings.Bot().model)
    trainer = read.get("finetune", {}).get("trainer", "auto")
    torch = trainer == "torch" or (trainer == "auto" and model in ("smollm2-135m", "hf:a/b"))
    wanted = "torch" if torch else "tensorflow"
    for name in ("proverbs", "mine"):
        path = machine.root / "data" / name / "bot.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
    assert machine.chosen() == machine.chosen("--bot", "data/mine") == wanted
    assert machine.chosen("--bot", "data/mine/bot.toml", "--trainer", "auto", "--model", "124M") == "tensorflow"
    assert machine.chosen("--bot", "data/missing", "--count", "3") == "tensorflow"


def test_a_stranger_s_bot_cannot_harm(machine: Machine) -> None:
    """Its folder may be called as a variable of awk's is set, and its settings hold what a terminal obeys."""
    path = machine.root / "a=b" / "bot.toml"
    path.parent.mkdir()
    path.write_text('model = "hf:\x1b[31ma\x9b\u202e/b"\n[finetune]\n')
    result = machine.image("build", "--bot", "a=b")
    assert result.stderr == "The image deepproverbs-torch (torch): TensorFlow 1.15 cannot train hf:[31ma/b.\n"
    machine.gpu("7.0")
    assert "cannot train hf:[31ma/b) wants a GPU" in one_sentence(machine.image("build", "--bot", "a=b"))


@pytest.mark.parametrize(
    ("words", "inside"),
    [
        (["--bot", "data/mine", "--pool", "s3://b/x"], True),
        (["--bot=data/mine", "--pool=./pool/x"], True),
        (["--pool=/elsewhere/pool"], False),
        (["--pool", "/elsewhere/pool"], False),
        (["--pool", "data/../../pool"], False),
        (["--bot=data/.."], False),
    ],
)
def test_a_path_that_the_container_cannot_see_is_worked_on_here(
    words: list[str], inside: bool, machine: Machine
) -> None:
    """Written inside the container it would be gone with it."""
    machine.gpu("8.6")
    program(machine.root / "scripts" / "setup", "true")
    program(machine.root / ".venvs" / "project" / "bin" / "deepproverbs", 'echo "ran $*"')
    said = run("scripts/train-and-fill", *words, cwd=machine.root, **machine.env).stdout
    assert ("working in the GPU image" in said) is inside and ("A path lies outside" in said) is not inside


def test_the_owner_may_decide(machine: Machine) -> None:
    machine.gpu("9.0")
    assert machine.chosen() == "torch" and machine.chosen(IMAGE_KIND="tensorflow") == "tensorflow"
    ngc = "nvcr.io/nvidia/tensorflow:23.03-tf1-py3"
    assert machine.chosen(BASE=ngc) == "tensorflow" and f"BASE={ngc}" in machine.called()
    assert machine.chosen(BASE="debian:13") == "torch" and "BASE=debian:13" in machine.called()
    machine.gpu("6.1")
    assert machine.chosen(IMAGE_KIND="torch", CUBLAS="yes") == "torch" and "CUBLAS=yes" not in machine.called()
    assert "IMAGE_KIND is tensorflow or torch, not x" in one_sentence(machine.image("build", IMAGE_KIND="x"), 2)
    assert machine.image("build", IMAGE="mine").returncode == 0 and "mine" in machine.called()


def test_a_run_is_the_caller_s_with_his_folders_and_no_value_of_a_secret(machine: Machine) -> None:
    machine.gpu("8.9")
    words = ["run", "--model", "smollm2-135m", "--count", "3"]
    hidden = dict.fromkeys(("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "AWS_SECRET_ACCESS_KEY"), "HIDDEN")
    result = machine.image("run", *words, **hidden)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "The image deepproverbs-torch (torch): TensorFlow 1.15 cannot train smollm2-135m.\n"
    called = machine.called()
    assert called[0] == "run" and called[-6:] == ["deepproverbs-torch", *words] and "HIDDEN" not in "".join(called)
    pairs = list(itertools.pairwise(called))
    assert ("--user", f"{os.getuid()}:{os.getgid()}") in pairs and ("--gpus", "all") in pairs
    assert all(("--env", name) in pairs for name in hidden)
    for folder in ("data", "runs", "models", "pool", "pools"):
        assert ("--volume", f"{machine.root / folder}:/deepproverbs/{folder}") in pairs
        assert (machine.root / folder).is_dir()
    assert machine.image("jupyter", IMAGE_KIND="tensorflow").returncode == 0
    assert "deepproverbs" in machine.called() and "127.0.0.1:8989:8989" in machine.called()
    assert machine.called()[-1].endswith("/training/notebook.ipynb")


def test_an_image_that_is_not_built_says_how(machine: Machine) -> None:
    machine.docker(built=False)
    for words, kind in ((["run"], "tensorflow"), (["run", "--trainer", "torch"], "torch")):
        said = one_sentence(machine.image("run", *words))
        assert said == f"The image {IMAGES[kind]} is not built yet: run `make build IMAGE_KIND={kind}`.\n"


@pytest.mark.parametrize("built", [True, False])
def test_train_and_fill_builds_and_runs_the_same_image(built: bool, machine: Machine) -> None:
    for gpu, words, kind in (
        ("8.6", [], "tensorflow"),
        ("8.9", [], "torch"),
        ("8.6", ["--model", "smollm2-135m"], "torch"),
    ):
        machine.gpu(gpu)
        machine.docker(built=True)
        if not built:  # until docker build has run
            script = (machine.bin / "docker").read_text()
            program(machine.bin / "docker", script.replace("exit 0", f"[[ -e {machine.root}/called ]]"))
            (machine.root / "called").unlink(missing_ok=True)
        (machine.root / "asked").unlink(missing_ok=True)
        result = run("scripts/train-and-fill", *words, cwd=machine.root, **machine.env)
        assert result.returncode == 0, result.stderr
        assert result.stdout == "Docker has an NVIDIA runtime: working in the GPU image.\n"
        assert set((machine.root / "asked").read_text().split()) == {IMAGES[kind]}
        assert machine.called()[-2 - len(words) :] == [IMAGES[kind], "run", *words]
        assert result.stderr.count(f"The image {IMAGES[kind]} ({kind}): ") == (1 if built else 2)


def test_train_and_fill_works_locally_where_neither_image_serves(machine: Machine) -> None:
    machine.gpu("7.0")
    program(machine.root / "scripts" / "setup", 'echo "setup"')
    program(machine.root / ".venvs" / "project" / "bin" / "deepproverbs", 'echo "ran $*"')
    result = run("scripts/train-and-fill", "--model", "smollm2-135m", cwd=machine.root, **machine.env)
    assert result.stdout.splitlines() == [
        "The GPU image could not be built: working in the local environments.",
        "setup",
        "ran run --setup --model smollm2-135m",
    ]
    assert result.stderr.count("\n") == 1 and "7.5 or later, and this one has 7.0" in result.stderr


def test_the_image_without_docker_is_one_sentence(machine: Machine) -> None:
    (machine.bin / "docker").unlink()
    for what in ("build", "run"):
        assert "Docker does not answer" in one_sentence(machine.image(what))


def test_the_notebook_opens_without_docker_too(machine: Machine) -> None:
    (machine.bin / "docker").unlink()
    program(machine.root / "scripts" / "setup", 'echo "setup $*"')
    program(machine.root / ".venvs" / "project" / "bin" / "jupyter", 'echo "jupyter $*"')
    result = machine.image("jupyter")
    assert result.stdout.splitlines() == [
        "setup project jupyter",
        "jupyter lab --ip 127.0.0.1 --port 8989 training/notebook.ipynb",
    ]
    assert "Docker does not answer" in result.stderr
