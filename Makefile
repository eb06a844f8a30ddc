# `make demo` and `make test` work on a fresh machine: each makes .venv first where it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/alerts

.PHONY: install demo test test-slow lint types bench weights recurrences evidence designs report clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: install
	mkdir -p out
	$(BIN)/broker-plugin classify examples/packets -o out/demo.jsonl
	@echo
	@echo "The first record of out/demo.jsonl:"
	@head -n 1 out/demo.jsonl | $(BIN)/python -m json.tool

test: install
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

test-slow: install
	$(BIN)/python -m pytest -m slow

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

bench: install
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-columns=median,iqr,ops,rounds --benchmark-sort=name

# The commands that made what is in weights/: the same data and processor give the same weights, to the bit; those of
# the stamp classifiers with the simulator as it was in commit 9456fe1.
weights: install
	$(BIN)/broker-plugin train stamp $(DATA)/ztf --labels $(DATA)/labels.csv --survey ztf --seed 1 \
		--simulated 2400 --notes weights/NOTES-ztf.md --work out/stamp-ztf -o weights/stamp-ztf/0.1.0
	$(BIN)/broker-plugin train stamp $(DATA)/rubin --labels $(DATA)/labels.csv --survey rubin --preset polar \
		--seed 1 --simulated 2400 --iterations 600 --notes weights/NOTES-rubin.md --work out/stamp-rubin -o weights/stamp-rubin/0.1.0
	$(BIN)/broker-plugin train temporal $(DATA)/ztf --labels $(DATA)/labels.csv --seed 1 --simulated 3000 \
		--version 1.0.0 --notes weights/NOTES-temporal-ztf.md -o weights/temporal-ztf/1.0.0

# What goes over the detections of an object, compared: docs/temporal.md; a quarter of an hour.
recurrences: install
	$(BIN)/broker-plugin train recurrences $(DATA)/ztf --labels $(DATA)/labels.csv -o out/recurrences

# What docs/accuracy.md tells of several seeds, the published network and the entropy weight; hours.
EVIDENCE := out/evidence
TRAIN_ZTF := $(BIN)/broker-plugin train stamp $(DATA)/ztf --labels $(DATA)/labels.csv --survey ztf
BETAS := 0.5 1.0
evidence: install
	mkdir -p $(EVIDENCE)
	$(TRAIN_ZTF) --seeds 5 --simulated 2400 --work $(EVIDENCE)/fast.training -o $(EVIDENCE)/fast
	$(TRAIN_ZTF) --seeds 5 --preset paper-2021 --iterations 4000 --extension 2000 \
		--work $(EVIDENCE)/paper-2021.training -o $(EVIDENCE)/paper-2021
	$(BIN)/broker-plugin train stamp $(DATA)/rubin --labels $(DATA)/labels.csv --survey rubin --preset polar --seeds 5 \
		--simulated 2400 --iterations 600 --work $(EVIDENCE)/polar.training -o $(EVIDENCE)/polar
	for beta in $(BETAS); do \
		echo "{\"hyperparameters\": {\"beta\": $$beta}}" > $(EVIDENCE)/beta-$$beta.json && \
		$(TRAIN_ZTF) --simulated 2400 --hyperparameters $(EVIDENCE)/beta-$$beta.json --no-test \
			-o $(EVIDENCE)/beta-$$beta || exit 1; \
	done
	$(BIN)/broker-plugin evaluate $(DATA)/ztf --labels $(DATA)/labels.csv --split test --threads 1 \
		$(foreach seed,1 2 3 4 5,--bundle ./$(EVIDENCE)/fast/seed-$(seed)) \
		--beta-bundle 0=./$(EVIDENCE)/fast/seed-1 $(foreach beta,$(BETAS),--beta-bundle $(beta)=./$(EVIDENCE)/beta-$(beta)) \
		--report $(EVIDENCE)/report

# Accuracy against cost for many networks, on one core; goes on where it was interrupted.
designs: install
	$(BIN)/broker-plugin train designs $(DATA)/ztf --labels $(DATA)/labels.csv -o out/designs

# How well the packaged bundles do on the test split, into out/report; and the small figures of their model cards.
report: install
	$(BIN)/broker-plugin evaluate $(DATA)/ztf --labels $(DATA)/labels.csv --split test --bundle stamp-ztf --threads 1 \
		--other $(DATA)/rubin --other $(DATA)/odd --report out/report/stamp-ztf \
		--card-figures weights/figures/stamp-ztf-0.1.0
	$(BIN)/broker-plugin evaluate $(DATA)/rubin --labels $(DATA)/labels.csv --split test --bundle stamp-rubin --threads 1 \
		--other $(DATA)/ztf/packets --other $(DATA)/odd --report out/report/stamp-rubin \
		--card-figures weights/figures/stamp-rubin-0.1.0
	$(BIN)/broker-plugin evaluate $(DATA)/ztf --labels $(DATA)/labels.csv --split test --bundle temporal-ztf --threads 1 \
		--against stamp-ztf --report out/report/temporal-ztf --card-figures weights/figures/temporal-ztf-1.0.0

clean:
	rm -rf $(VENV) out build dist *.egg-info
