package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed starter.yaml
var starter []byte

func (p *program) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Write a configuration to begin with",
		Long: `Write config.yaml, small and commented, into a directory, which is made where
there is none; the current one when none is given. A file that is there is left
alone.`,
		Example: `  twilio-sts init
  twilio-sts init deploy`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageErrorf("init takes at most one argument, a directory")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return p.init(append(args, ".")[0])
		},
	}
}

func (p *program) init(dir string) error {
	path := filepath.Join(dir, defaultConfig)
	if err := makeDirectory(dir); err != nil {
		return err
	}
	f, err := createFile(path)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and is left as it is", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(starter)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, `wrote %[2]s

Next:
  1. put your provider's issuer and your app's client id into it
  2. set TWILIO_ACCOUNT_SID, TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET
  3. twilio-sts check --config %[1]s
  4. twilio-sts dev --config %[1]s      try it with personas
  5. twilio-sts serve --config %[1]s    run it
`, shellWord(path), path)
	return nil
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord is s as a shell reads it as one word.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
