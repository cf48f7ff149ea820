package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"twilio-sts/config"
)

// Exit codes.
const (
	exitFine     = 0
	exitProblems = 1 // problems found, somebody refused, or a test failed
	exitUsage    = 2 // the command line is wrong
	exitFailed   = 3 // it could not be done
)

// defaultConfig is the configuration of a command that is not told which.
const defaultConfig = "config.yaml"

// A program is one run of twilio-sts: everything of the outside world that its
// commands touch.
type program struct {
	getenv         func(name string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	prompts        func() prompts // for serve; nil: it does not load its files again
}

// run runs the command that args name and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.rootCommand()
	if args == nil {
		args = []string{} // cobra takes nil for os.Args
	}
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	if bareToken(args) {
		return p.report(usageErrorf("a token is no argument: other programs on this machine can read arguments\n" +
			"twilio-sts: hint: pipe it in: twilio-sts decode - < token.txt"))
	}
	return p.report(root.ExecuteContext(ctx))
}

// bareToken reports whether an argument looks like a JWT.
func bareToken(args []string) bool {
	for _, arg := range args {
		if i := strings.Index(arg, "eyJ"); i >= 0 && strings.Count(arg[i:], ".") >= 2 {
			return true
		}
	}
	return false
}

// report prints an error as a person reads it, and returns the exit code.
func (p *program) report(err error) int {
	var usage *usageError
	var found config.Diagnostics
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errProblems):
		return exitProblems // said already
	case errors.As(err, &found):
		fmt.Fprintln(p.stderr, found)
		return exitProblems
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "twilio-sts: error: %s\n", usage.text)
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "twilio-sts: error: %s\n", err)
	if missing := (*fs.PathError)(nil); errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) && missing.Path == defaultConfig {
		fmt.Fprintln(p.stderr, "twilio-sts: hint: --config FILE names a configuration, and twilio-sts init writes one")
	}
	return exitFailed
}

// errProblems says that the answer, printed already, is no.
var errProblems = errors.New("problems were found")

// A usageError is a fault of the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usageErrorf(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// noArgs and atMostOne check arguments as cobra's own do, but for the exit
// code.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("%s takes no arguments\ntwilio-sts: hint: %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}

func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageErrorf("%s takes one argument, %s\ntwilio-sts: hint: %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

// load loads a configuration and prints its warnings.
func (p *program) load(path string, o config.Options) (*config.Config, error) {
	o.Getenv = p.getenv
	cfg, err := config.Load(path, o)
	if err != nil {
		return nil, err
	}
	if len(cfg.Warnings) > 0 {
		fmt.Fprintln(p.stderr, cfg.Warnings)
	}
	return cfg, nil
}

// readInput reads a file, or standard input for -, up to a size that no token
// or claims reach.
func (p *program) readInput(path string) ([]byte, error) {
	const most = 1 << 20
	in := p.stdin
	if path != "-" {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > most:
		return nil, fmt.Errorf("%s is larger than 1 MiB", path)
	}
	return data, nil
}

// printJSON prints v as indented JSON.
func (p *program) printJSON(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
