package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p *program) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say what this program was built from",
		Long:    `Say which version and revision this program was built from, and with which Go.`,
		Example: `  twilio-sts version --json`,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return p.version(asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// A buildInfo is what the program was built from.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
}

func readBuild() buildInfo {
	v := buildInfo{Version: "unknown", Revision: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version, v.Go = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}

// builtFrom is a build as a person reads it.
func builtFrom() string {
	v, modified := readBuild(), ""
	if v.Modified {
		modified = ", modified"
	}
	return fmt.Sprintf("twilio-sts %s (revision %s%s, %s)", v.Version, v.Revision, modified, v.Go)
}

func (p *program) version(asJSON bool) error {
	if asJSON {
		return p.printJSON(readBuild())
	}
	_, err := fmt.Fprintln(p.stdout, builtFrom())
	return err
}
