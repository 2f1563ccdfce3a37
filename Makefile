# heddle: `make run` serves the examples, `make test` proves it all, `make help` says the rest.

PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
export PREFIX

# T=unit runs one part of the tests, K=name those whose name contains it; B=hello one benchmark;
# F=name one fuzz target, S=60 for so many seconds.
T ?=
K ?=
B ?=
F ?=
S ?= 30

.PHONY: all help deps run test lint bench fuzz install clean

all:
	@tools/deps build
	@$(PYTHON) tools/build.py release

help:
	@echo 'make                       build build/heddle'
	@echo "make run ARGS='--port 0'   serve examples/functions in development mode; Ctrl-C ends it"
	@echo 'make test [T=part] [K=name]  lint, unit, clang, tsan, integration, or one of them'
	@echo 'make lint [K=check]        only the checks of the text'
	@echo 'make bench [B=part]        measure, beside nginx; writes doc/benchmarks.md'
	@echo 'make fuzz [F=target] [S=s] libFuzzer on everything that reads bytes from outside'
	@echo 'make deps                  install what is missing, with apt-get and npm'
	@echo 'make install DESTDIR= PREFIX=/usr/local'
	@echo 'make clean'

deps:
	@tools/deps build run test

run: all
	@tools/deps run
	@exec build/heddle dev examples/functions $(ARGS)

test:
	@tools/deps build run test
	@$(PYTHON) tools/test.py $(T) $(if $(K),-k '$(K)')

lint: all
	@tools/deps test
	@$(PYTHON) tools/lint/run.py $(if $(K),--match '$(K)')

bench: all
	@tools/deps run bench
	@$(PYTHON) bench/run.py $(B)

fuzz:
	@tools/deps build test
	@$(PYTHON) tools/fuzz.py --seconds $(S) $(F)

install: all
	@tools/install '$(DESTDIR)' '$(PREFIX)'

clean:
	rm -rf build
