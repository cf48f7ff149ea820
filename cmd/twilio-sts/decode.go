package main

import (
	"encoding/json"
	"errors"
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
is wrong with it as far as can be seen without keys. Nothing is verified. What
Twilio refuses has its error code, where one is known.

- reads standard input. The token may stand alone, behind Bearer as in a header, or
in the JSON answer of the token endpoint. The exit code is 1 when something is
wrong.`,
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
	var d *exchange.Decoded
	raw, err := tokenIn(string(data))
	if err == nil {
		d, err = exchange.Decode(raw, p.now())
	}
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
	if len(d.Times) > 0 {
		fmt.Fprintln(p.stdout, "times")
	}
	for _, t := range d.Times {
		fmt.Fprintf(p.stdout, "  %-9s  %s, %s\n", t.Claim, t.At.Format("2006-01-02 15:04:05 UTC"), t.Away)
	}
	for _, problem := range d.Problems {
		fmt.Fprintf(p.stdout, "problem: %s\n", problem)
	}
	if len(d.Problems) == 0 {
		fmt.Fprintln(p.stdout, "nothing wrong was seen")
	}
	return nil
}

// tokenIn returns the token in what people copy: a token, a header with one, or
// the answer of a token endpoint. An ID token goes before an access token, which
// at its provider is another's.
func tokenIn(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") {
		var answer struct {
			IDToken     string `json:"id_token"`
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			return "", errors.New("it begins with { and is not JSON")
		}
		if text = answer.IDToken; text == "" {
			text = answer.AccessToken
		}
		if text == "" {
			return "", errors.New("it is JSON without an id_token or an access_token")
		}
	}
	if name, value, ok := strings.Cut(text, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "authorization") {
		text = strings.TrimSpace(value)
	}
	if scheme, token, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "bearer") {
		text = strings.TrimSpace(token)
	}
	return text, nil
}
