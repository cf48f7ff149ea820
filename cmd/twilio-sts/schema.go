package main

import (
	"io"

	"github.com/spf13/cobra"

	"twilio-sts/config"
)

func (p *program) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of configurations, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of a configuration. With it, an editor
completes and explains every key while you type. It knows the shape of a
configuration; whether its rules make sense is for check.`,
		Example: `  twilio-sts schema > config.schema.json

  Then let this be the first line of config.yaml, for editors with the YAML
  language server (VS Code with the YAML extension, Neovim, Helix, Emacs):

  # yaml-language-server: $schema=config.schema.json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(p.stdout, config.Schema())
			return err
		},
	}
}
