package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"twilio-sts/exchange"
)

func (p *program) decodeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "decode FILE",
		Short: "Show what is in a token, and what is wrong with it",
		Long: `Show the header and the claims of an ID token or a Twilio access token, and what
is wrong with it as far as can be seen without keys. Nothing is verified.

- reads standard input. The exit code is 1 when something is wrong.`,
		Example: `  pbpaste | twilio-sts decode -
  twilio-sts decode token.txt --json`,
		Args: oneArg("a file, or - for standard input"),
		RunE: func(_ *cobra.Command, args []string) error { return p.decode(args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func (p *program) decode(path string, asJSON bool) error {
	data, err := p.readInput(path)
	if err != nil {
		return err
	}
	d, err := exchange.Decode(strings.TrimSpace(string(data)), p.now())
	if err != nil {
		fmt.Fprintf(p.stderr, "twilio-sts: error: this is not a token that can be shown: %s\n", err)
		return errProblems
	}
	if asJSON {
		err = p.printJSON(d)
	} else {
		err = p.printDecoded(d)
	}
	if err == nil && len(d.Problems) > 0 {
		err = errProblems
	}
	return err
}

func (p *program) printDecoded(d *exchange.Decoded) error {
	fmt.Fprintf(p.stdout, "%s, not verified\n", d.Kind)
	for _, part := range []struct {
		name string
		v    map[string]any
	}{{"header", d.Header}, {"claims", d.Claims}} {
		text, err := json.MarshalIndent(part.v, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%s %s\n", part.name, text)
	}
	for _, problem := range d.Problems {
		fmt.Fprintf(p.stdout, "problem: %s\n", problem)
	}
	return nil
}
