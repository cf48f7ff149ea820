package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// rootCommand builds the tree of commands, anew for every run.
func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "twilio-sts",
		Short: "Turn ID tokens into Twilio access tokens, by rules",
		Long: `twilio-sts is a security token service for Twilio. A client that has signed in
elsewhere posts its OIDC ID token; the service verifies it, decides by the
operator's rules who that is to Twilio and what they may do, and answers with a
short-lived Twilio access token.`,
		Example: `  twilio-sts dev                              try it, with no account and no setup
  twilio-sts init && twilio-sts check         write a configuration and check it
  twilio-sts serve --config config.yaml       run it`,
		Version:       builtFrom(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageErrorf("there is no command %q\ntwilio-sts: hint: twilio-sts --help lists the commands", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageErrorf("%s\ntwilio-sts: hint: %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		p.serveCommand(),
		p.devCommand(),
		p.checkCommand(),
		p.testCommand(),
		p.explainCommand(),
		p.diffCommand(),
		p.decodeCommand(),
		p.initCommand(),
		p.schemaCommand(),
		p.versionCommand(),
		p.healthcheckCommand(),
	)
	return root
}

// Files are opened here and nowhere else in the commands.

func openFile(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) && strings.Count(path, ".") == 2 {
		return nil, usageErrorf("there is no such file\ntwilio-sts: hint: - reads standard input")
	}
	return f, err
}

// makeDirectory makes a directory where there is none.
func makeDirectory(path string) error { return os.MkdirAll(path, 0o755) }

// createFile creates a file that must not exist yet.
func createFile(path string) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}
