package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"twilio-sts/config"
)

const healthTimeout = 3 * time.Second

func (p *program) healthcheckCommand() *cobra.Command {
	var path, url string
	cmd := &cobra.Command{
		Use:   "healthcheck [--config FILE | --url URL]",
		Short: "Ask a running service on this machine whether it is alive",
		Long: `Ask a running service whether it is alive, at the address its configuration
names, or at a URL: for containers, whose images have no other way to ask. The
exit code is 1 when it is not.`,
		Example: `  twilio-sts healthcheck --config config.yaml
  twilio-sts healthcheck --url http://127.0.0.1:8080/healthz`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.healthcheck(cmd.Context(), path, url) },
	}
	cmd.Flags().StringVar(&path, "config", defaultConfig, "the configuration `FILE`")
	cmd.Flags().StringVar(&url, "url", "", "the `URL` to ask in its place")
	return cmd
}

func (p *program) healthcheck(ctx context.Context, path, url string) error {
	client := &http.Client{Timeout: healthTimeout}
	if url == "" {
		cfg, err := config.Load(path, config.Options{Getenv: p.getenv, NoSecrets: true, SkipTests: true})
		if err != nil {
			return err
		}
		if url, err = localURL(&cfg.Server); err != nil {
			return err
		}
		// The certificate is for the public name and this asks by address; all
		// that is wanted to know is whether the process answers.
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageErrorf("%s is not a URL", url)
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Fprintf(p.stderr, "twilio-sts: error: %s\n", err)
		return errProblems
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		fmt.Fprintf(p.stderr, "twilio-sts: error: %s answered %s\n", url, resp.Status)
		return errProblems
	}
	fmt.Fprintln(p.stdout, "alive")
	return nil
}

// localURL is where a server is reached from its own machine.
func localURL(s *config.Server) (string, error) {
	address, err := localAddress(s.Listen)
	if err != nil {
		return "", err
	}
	scheme := "http"
	if s.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + address + "/healthz", nil
}

// localAddress is where a listener is reached from its own machine.
func localAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "":
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified() && ip.Is6():
		host = "::1"
	case err == nil && ip.IsUnspecified():
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
