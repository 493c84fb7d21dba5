# One Makefile for people and CI. `make` lists the targets.
#
# Every target depends on the stamps of the environments it needs and of no others; scripts/setup makes them.

SHELL := bash
.DEFAULT_GOAL := help

PROJECT := .venvs/project/.installed
DEV := .venvs/project/.installed-dev
TF1 := .venvs/tf1/.installed
SAM := .venvs/sam/.installed
CHECKOV := .venvs/checkov/.installed
TORCH := .venvs/torch/.installed
BENCH := .venvs/bench/.installed

BIN := .venvs/project/bin
CLOUD := $(BIN)/deepproverbs cloud
# One process for each processor, and one thread for the matrices of each.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto
PYTHON_FILES := training functions infra tests data benchmarks
MYPY := training functions infra tests/simulation $(filter-out benchmarks/plot.py,$(wildcard benchmarks/*.py))

# What may be given on the command line. The programs that make starts know the defaults.
VARIABLES := ARGS BASE BOT BUDGET CHECKPOINT_DIR COUNT CUBLAS DASHBOARD DRY_RUN EMAIL ENABLE ENGINE FILE FLEXIBLE HOURS \
  IMAGE IMAGE_KIND LOW_DAYS MODEL NAME POOL PYTHON REFILL SCHEDULE SHARDS SLOT TF1_PYTHON TIME_ZONE TWITTER_CREDS UV YES
ENVIRONMENT := AWS_% DEEPPROVERBS_% PIP_% UV_% SHELL

given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
unknown := $(firstword $(filter-out $(VARIABLES) $(ENVIRONMENT),$(given)))
ifneq ($(unknown),)
nearest := $(shell scripts/nearest '$(subst ','\'',$(unknown))' $(VARIABLES))
$(error There is no variable $(unknown)$(if $(nearest),; did you mean $(nearest)?,;) `make help` lists them)
endif

# What stands in the environment may be meant for another program: MODEL, NAME, EMAIL. Set-up's variables count there,
# too; a target that takes another one says so and does nothing, for without DRY_RUN or BOT it might do too much. An
# empty one is none: make exports so those that it was not given, to the make that a test calls.
FROM_ENVIRONMENT := PYTHON TF1_PYTHON UV
elsewhere := $(foreach v,$(filter-out $(FROM_ENVIRONMENT),$(VARIABLES)),$(if $(filter environment,$(firstword $(origin $v))),$(if $(value $v),$v)))
$(foreach v,$(elsewhere),$(eval override $v :=))

# A value is text, never code: make does not expand it again, and recipes take it from the environment, "$$POOL".
$(foreach v,$(given) $(VARIABLES),$(if $(filter undefined default file,$(origin $v)),,$(eval override $v := $$(value $v))))
export $(VARIABLES)
# ARGS is several words: quotes keep words together and mean nothing else, and $(ARGS) is safe in a recipe.
define newline


endef
ifneq ($(ARGS),)
override ARGS := $(shell printf '%s\n' '$(subst $(newline), ,$(subst ','\'',$(ARGS)))' | xargs bash -c 'printf "%q " "$$@"' words)
ifneq ($(filter-out 0,$(.SHELLSTATUS)),)
$(error ARGS has a quote that is not closed)
endif
endif

# $(call said,POOL BOT): nothing; an error if one of them stands in the environment alone.
said = $(foreach v,$(filter $1,$(elsewhere)),$(error $v stands in the environment, maybe for another program: \
  say `make $@ $v=...`, or $v= for none))
# $(call option,--pool,POOL): the option with the variable's value, if it has one.
option = $(call said,$2)$(if $($2),$1 "$$$2")
# $(call flag,--dry-run,DRY_RUN): the option if the variable says yes.
flag = $(call said,$2)$(if $(filter-out $(NO),$($2)),$(if $(filter-out $(YES_WORDS),$($2)),\
  $(error $2 is yes or no, not $($2)),$1))
NO := 0 n no N No NO f false False FALSE off Off OFF
YES_WORDS := 1 y yes Y Yes YES t true True TRUE on On ON

bot = $(call option,--bot,BOT)
pool = $(call option,--pool,POOL)
args = $(call said,ARGS)$(ARGS)
image = $(call said,BASE CUBLAS IMAGE IMAGE_KIND)scripts/image

.PHONY: help setup demo new train-and-fill report review refill tweet status check test simulate lint bench build run run-jupyter secrets deploy pause resume post-now logs clear-queues destroy cloud-train cloud-status cloud-destroy requirements nano clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup:  ## the environments of the project and of TensorFlow 1.15
	@scripts/setup project tf1

demo: $(PROJECT)  ## the Proverbs: 1,000 texts in a local pool, ten of them shown, one posted dry [MODEL=nano|smollm2-135m]
	@$(BIN)/deepproverbs demo --setup $(call option,--model,MODEL)

new: $(PROJECT)  ## a bot of your own texts, with settings that fit them [NAME= FILE= MODEL=]
	@$(call said,NAME FILE)$(BIN)/deepproverbs new $(call option,--model,MODEL) -- "$$NAME" "$$FILE"

train-and-fill:  ## corpus to pool, COUNT more texts each time, on a GPU image if one runs [BOT= MODEL= POOL= COUNT= ENGINE=image|local]
	@$(call said,BASE CUBLAS ENGINE IMAGE IMAGE_KIND)scripts/train-and-fill $(bot) $(call option,--model,MODEL) $(pool) $(call option,--count,COUNT)

report: $(PROJECT)  ## how a run went, on one page, runs/NAME/report.html [BOT=]
	@$(BIN)/deepproverbs report $(bot)

review: $(PROJECT)  ## read texts before they are published, in the browser: keep, drop, edit or star each [BOT= POOL= ARGS=--publish]
	@$(BIN)/deepproverbs review $(bot) $(pool) $(args)

refill: $(PROJECT)  ## more texts, if the pool's last for less than a month [BOT= POOL= COUNT=]
	@$(BIN)/deepproverbs refill $(bot) $(pool) $(call option,--count,COUNT)

tweet: $(PROJECT)  ## post one text [POOL= TWITTER_CREDS=twitter.json DRY_RUN=1 SLOT= CHECKPOINT_DIR=]
	@$(BIN)/deepproverbs post $(bot) $(pool) $(call option,--creds,TWITTER_CREDS) $(call flag,--dry-run,DRY_RUN) \
	  $(call option,--slot,SLOT) $(call option,--checkpoint,CHECKPOINT_DIR)

status: $(PROJECT)  ## the bot in AWS: last post, next slot, texts left, alarms, cost; or a pool's [POOL= BOT=]
	@$(call said,POOL)$(if $(POOL),$(BIN)/deepproverbs pool status $(bot) $(pool),$(CLOUD) status $(bot))

check: $(PROJECT) $(DEV)  ## the quick tests, without TensorFlow, PyTorch, SAM and checkov: four minutes [ARGS="-k pool"]
	@$(PYTEST) -m "not tensorflow and not torch and not sam and not checkov and not slow" $(args)

test: $(PROJECT) $(DEV) $(TF1) $(TORCH) $(SAM) $(CHECKOV)  ## all tests, with TensorFlow 1.15, PyTorch and SAM [ARGS="-k pool"]
	@$(PYTEST) $(args)

simulate: $(PROJECT) $(DEV)  ## the posting protocol: a million slots, every double fault, mutations [ARGS="--seed 7"]
	@$(BIN)/python -m tests.simulation $(args)

lint: $(PROJECT) $(DEV)  ## ruff, mypy, shellcheck, hadolint
	@$(BIN)/ruff check --quiet $(PYTHON_FILES)
	@$(BIN)/mypy $(MYPY)
	@$(BIN)/shellcheck $(shell grep -lE -d skip '^#!.*bash' scripts/* .ci/run)
	@$(BIN)/hadolint training/Dockerfile training/Dockerfile.torch

bench: $(PROJECT) $(DEV) $(TF1) $(TORCH) $(BENCH)  ## fine-tuning and sampling beside peers; accepted texts a second; the filters; a post; the review [ARGS="--rounds 3"]
	@$(BIN)/python -m benchmarks.sampling $(args)
	@$(BIN)/python -m benchmarks.finetuning
	@$(BIN)/python -m benchmarks.accepted
	@$(BIN)/python -m benchmarks.filters
	@$(BIN)/python -m benchmarks.posting
	@$(BIN)/python -m benchmarks.reviewing

build:  ## the GPU image for this GPU and the bot's model [IMAGE_KIND=tensorflow|torch BOT= MODEL= BASE= CUBLAS=yes]
	@$(image) build $(bot) $(call option,--model,MODEL)

run:  ## deepproverbs in the GPU image [ARGS="run --model 355M"]
	@$(image) run $(args)

run-jupyter:  ## a notebook from corpus to pool, in the GPU image or here, port 8989
	@$(image) jupyter

deploy: $(PROJECT) $(SAM)  ## the bot in AWS [SCHEDULE= TIME_ZONE= FLEXIBLE= ENABLE=yes|no EMAIL= LOW_DAYS= DASHBOARD= BOT=]
	@$(CLOUD) deploy $(bot) $(call option,--schedule,SCHEDULE) $(call option,--time-zone,TIME_ZONE) \
	  $(call option,--flexible,FLEXIBLE) $(call option,--enable,ENABLE) $(call option,--email,EMAIL) \
	  $(call option,--low-days,LOW_DAYS) $(call option,--dashboard,DASHBOARD)

secrets: $(PROJECT)  ## put the X keys into AWS, encrypted [TWITTER_CREDS=twitter.json BOT=]
	@$(CLOUD) secrets $(bot) $(call option,--,TWITTER_CREDS)

pause: $(PROJECT)  ## the bot in AWS posts nothing until `make resume` [BOT=]
	@$(CLOUD) pause $(bot)

resume: $(PROJECT)  ## it posts again [BOT=]
	@$(CLOUD) resume $(bot)

post-now: $(PROJECT)  ## the function in AWS posts one text now [DRY_RUN=1 SLOT= BOT=]
	@$(CLOUD) post-now $(bot) $(call flag,--dry-run,DRY_RUN) $(call option,--slot,SLOT)

logs: $(PROJECT)  ## what the function in AWS wrote [HOURS=48 BOT=]
	@$(CLOUD) logs $(bot) $(call option,--hours,HOURS)

clear-queues: $(PROJECT)  ## show and delete the messages of posts that failed, which ends their alarms [BOT=]
	@$(CLOUD) clear-queues $(bot)

destroy: $(PROJECT)  ## delete the bot from AWS; its pool stays [YES=1 BOT=]
	@$(CLOUD) destroy $(bot) $(call flag,--yes,YES)

cloud-train: $(PROJECT) $(SAM)  ## the training job on spot GPUs in AWS [SHARDS=4 MODEL= COUNT= EMAIL= BUDGET= REFILL=yes|no YES=1 BOT=]
	@$(CLOUD) train $(bot) $(call flag,--yes,YES) $(call option,--model,MODEL) $(call option,--count,COUNT) \
	  $(call option,--shards,SHARDS) $(call option,--email,EMAIL) $(call option,--budget,BUDGET) \
	  $(call option,--refill,REFILL)

cloud-status: $(PROJECT)  ## how far it is [BOT=]
	@$(CLOUD) train-status $(bot)

cloud-destroy: $(PROJECT)  ## delete its image, queue and workspace; the pool stays [YES=1 BOT=]
	@$(CLOUD) train-destroy $(bot) $(call flag,--yes,YES)

requirements:  ## pin requirements/*.in again (needs uv)
	@scripts/compile-requirements $(args)

nano: $(TORCH) $(PROJECT)  ## train the small base model from scratch: about an hour
	@$(BIN)/python -m data.proverbs.prepare data/proverbs
	@.venvs/torch/bin/python -m data.base.nano.pretrain

clean:  ## delete the environments and caches; runs/, models/ and pool/ stay
	rm -rf .venvs .native_cache .aws-sam .pytest_cache .mypy_cache .ruff_cache .coverage *.egg-info

# A stamp is as old as what it was made from; scripts/setup itself knows whether anything is to be done.
$(PROJECT): requirements/project.txt pyproject.toml
	@scripts/setup project
$(DEV): requirements/dev.txt $(PROJECT)
	@scripts/setup dev
$(TF1): requirements/tf1.txt requirements/tf1-image.txt
	@scripts/setup tf1
$(CHECKOV): requirements/checkov.txt
	@scripts/setup checkov
$(SAM): requirements/sam.txt
	@scripts/setup sam
$(BENCH): requirements/bench.txt requirements/bench-cpu.txt
	@scripts/setup bench
$(TORCH): requirements/torch.txt requirements/torch-cpu.txt
	@scripts/setup torch
