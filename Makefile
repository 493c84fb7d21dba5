# One Makefile for people and CI. `make` lists the targets.
#
# Every target depends on the stamps of the environments it needs and of no others; scripts/setup makes them.

SHELL := bash
.DEFAULT_GOAL := help

PROJECT := .venvs/project/.installed
DEV := .venvs/project/.installed-dev
TF1 := .venvs/tf1/.installed
SAM := .venvs/sam/.installed
NANO := .venvs/nano/.installed
BENCH := .venvs/bench/.installed

BIN := .venvs/project/bin
PYTHON_FILES := training functions scripts tests data benchmarks
MYPY := training functions scripts tests/simulation $(filter-out benchmarks/plot.py,$(wildcard benchmarks/*.py))

# What may be given on the command line; the program knows the defaults.
BOT ?=
MODEL ?=
POOL ?=
COUNT ?=
TWITTER_CREDS ?=
CHECKPOINT_DIR ?=
DRY_RUN ?=

bot := $(if $(BOT),--bot '$(BOT)')
pool := $(if $(POOL),--pool '$(POOL)')

.PHONY: help setup demo train-and-fill report review tweet status test simulate lint bench build run run-jupyter secrets deploy requirements nano clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup:  ## the environments of the project and of TensorFlow 1.15
	@scripts/setup project tf1

demo: $(PROJECT) $(TF1)  ## nano on the Proverbs: 1,000 texts in a local pool, ten of them shown, one posted dry
	@$(BIN)/deepproverbs demo

train-and-fill:  ## corpus to filled pool, on a GPU image if one runs [BOT= MODEL= POOL= COUNT= ENGINE=image|local]
	@scripts/train-and-fill $(bot) $(if $(MODEL),--model '$(MODEL)') $(pool) $(if $(COUNT),--count '$(COUNT)')

report: $(PROJECT)  ## how new and how varied the pool is, beside real texts [BOT=]
	@$(BIN)/deepproverbs report $(bot)

review: $(PROJECT)  ## read the texts that name a people or a religion; publish or refuse each [BOT= POOL=]
	@$(BIN)/deepproverbs review $(bot) $(pool)

tweet: $(PROJECT) $(if $(CHECKPOINT_DIR),$(TF1))  ## post one text [POOL= TWITTER_CREDS=twitter.json DRY_RUN=1 CHECKPOINT_DIR=]
	@$(BIN)/deepproverbs post $(bot) $(pool) $(if $(TWITTER_CREDS),--creds '$(TWITTER_CREDS)') \
	  $(if $(DRY_RUN),--dry-run) $(if $(CHECKPOINT_DIR),--checkpoint '$(CHECKPOINT_DIR)')

status: $(PROJECT)  ## what the pool holds and what was posted last [POOL=]
	@$(BIN)/deepproverbs pool status $(bot) $(pool)

test: $(PROJECT) $(DEV) $(TF1) $(SAM)  ## all tests, TensorFlow 1.15 and SAM among them [ARGS="-k pool"]
	@$(BIN)/python -m pytest $(ARGS)

simulate: $(PROJECT) $(DEV)  ## the posting protocol: a million slots, every double fault, mutations [ARGS="--seed 7"]
	@$(BIN)/python -m tests.simulation $(ARGS)

lint: $(PROJECT) $(DEV)  ## ruff, mypy, shellcheck, hadolint
	@$(BIN)/ruff check --quiet $(PYTHON_FILES)
	@$(BIN)/mypy $(MYPY)
	@$(BIN)/shellcheck $(shell grep -lE '^#!.*bash' scripts/* .ci/run)
	@$(BIN)/hadolint training/Dockerfile

bench: $(PROJECT) $(DEV) $(TF1) $(BENCH)  ## sampling beside its peers; accepted texts a second; the filters; a post [ARGS="--rounds 3"]
	@$(BIN)/python -m benchmarks.sampling $(ARGS)
	@$(BIN)/python -m benchmarks.accepted
	@$(BIN)/python -m benchmarks.filters
	@$(BIN)/python -m benchmarks.posting

build:  ## the GPU image [BASE= CUBLAS=yes]
	@scripts/image build

run:  ## deepproverbs in the GPU image [ARGS="run --model 355M"]
	@scripts/image run $(ARGS)

run-jupyter:  ## JupyterLab in the GPU image, port 8989
	@scripts/image jupyter

secrets: $(PROJECT)  ## put the X keys into AWS, encrypted [TWITTER_CREDS=twitter.json BOT=]
	@$(BIN)/python scripts/put_secret.py $(bot) $(if $(TWITTER_CREDS),'$(TWITTER_CREDS)',twitter.json)

deploy: $(SAM)  ## bucket, function and schedule [SCHEDULE= TIME_ZONE= ENABLE=yes|no EMAIL= STACK= BOT_NAME=]
	@scripts/deploy

requirements:  ## pin requirements/*.in anew (needs uv)
	@scripts/compile-requirements $(ARGS)

nano: $(NANO) $(PROJECT)  ## train the small base model from nothing: about an hour
	@$(BIN)/python -m data.proverbs.prepare data/proverbs
	@.venvs/nano/bin/python -m data.base.nano.pretrain

clean:  ## delete the environments and caches; runs/, models/ and pool/ stay
	rm -rf .venvs .native_cache .aws-sam .pytest_cache .mypy_cache .ruff_cache .coverage *.egg-info

# A stamp is as old as what it was made from; scripts/setup itself knows whether anything is to be done.
$(PROJECT): requirements/project.txt pyproject.toml
	@scripts/setup project
$(DEV): requirements/dev.txt $(PROJECT)
	@scripts/setup dev
$(TF1): requirements/tf1.txt requirements/tf1-image.txt
	@scripts/setup tf1
$(SAM): requirements/sam.txt
	@scripts/setup sam
$(BENCH): requirements/bench.txt requirements/bench-cpu.txt
	@scripts/setup bench
$(NANO): requirements/nano.txt requirements/nano-cpu.txt
	@scripts/setup nano
