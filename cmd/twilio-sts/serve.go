package main

import (
	"context"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/exchange"
)

func (p *program) serveCommand() *cobra.Command {
	var path, shadow string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the token service",
		Long: `Run the token service until SIGTERM or SIGINT, then finish what is in flight.

Audit lines go to standard output, events to standard error, both as JSON. Where
systemd asks for it (Type=notify), it is told when the service is ready, as
/readyz says, and when it stops.
A configuration with faults, or one that asks for what this version does not
do yet, does not start: see twilio-sts check.

On SIGHUP, and when the configuration or a file that it names has changed, it is
loaded again, and takes the place of the one before, all of it at once; requests
in flight end as they began. One with faults changes nothing, and an event names
the first. An address, TLS on or off, and the store change by a restart alone.

With --shadow, another configuration decides every exchange too, away from the
requests: nobody's answer hangs on it. Its issuers are matched by name, and its
keys are never used. It is loaded again as the other is. Where it comes to
another outcome, an event tells by trace id what would change and whether that
widens, in names and never in values; how many were seen, differed, widened or
did not fit in is said each minute and at the end.`,
		Example: `  twilio-sts serve --config config.yaml
  twilio-sts serve --config config.yaml --shadow new.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.serve(cmd.Context(), path, shadow)
		},
	}
	cmd.Flags().StringVar(&path, "config", "config.yaml", "the configuration `FILE`")
	cmd.Flags().StringVar(&shadow, "shadow", "", "another configuration `FILE`, to compare with")
	return cmd
}

// serve serves the configuration at path; shadow is the path of another to
// compare with, or "".
func (p *program) serve(ctx context.Context, path, shadow string) error {
	log := slog.New(slog.NewJSONHandler(p.stderr, nil))
	var by prompts
	if p.prompts != nil {
		by = p.prompts()
		defer by.stop()
	}
	live := &watched{path: path}
	all := []*watched{live}
	cfg, err := live.load(p, log)
	if err != nil {
		return err
	}
	var candidate *config.Config
	compared := &watched{path: shadow}
	if shadow != "" {
		if candidate, err = compared.load(p, log); err != nil {
			return err
		}
		all = append(all, compared)
	}
	public, admin, err := listen(ctx, cfg.Server.Listen, cfg.Server.AdminListen)
	if err != nil {
		return err
	}
	shared, err := exchange.OpenStore(cfg, p.now, log)
	if err != nil {
		return err
	}
	defer shared.Close()
	service, err := exchange.New(cfg, exchange.Options{Now: p.now, Log: log, Audit: p.stdout, Shadow: candidate, Store: shared})
	if err != nil {
		return err
	}
	adminAddress := "off"
	if admin != nil {
		adminAddress = admin.Addr().String()
	}
	log.Info("serving", "address", public.Addr().String(), "admin", adminAddress, "config", cfg.Hash)
	if candidate != nil {
		log.Info("comparing", "shadow", candidate.Hash)
	}
	live.serve = func(cfg *config.Config) { service.Reload(cfg) } // which logs its error
	live.failed = service.ReloadFailed
	compared.serve = service.Compare
	compared.failed = func(err error) { log.Error("shadow not reloaded; the one before stays in use", "error", err) }
	socket, _ := p.getenv("NOTIFY_SOCKET")
	ctx, stop := context.WithCancel(ctx)
	unwatched := p.watch(ctx, log, by, all...)
	told := make(chan struct{})
	go func() {
		defer close(told)
		notifier{socket, log}.follow(ctx, service.Ready)
	}()
	err = service.Serve(ctx, public, admin)
	stop()
	<-told
	unwatched()
	return err
}

// loadServed loads a configuration; what it is warned of are events, for whoever
// reads the log.
func (p *program) loadServed(path string, log *slog.Logger, readFile func(string) ([]byte, error)) (*config.Config, error) {
	cfg, err := config.Load(path, config.Options{Getenv: p.getenv, ReadFile: readFile})
	if err != nil {
		return nil, err
	}
	// Serving would promise what these keys say, so it does not begin.
	if len(cfg.NotYet) > 0 {
		return nil, cfg.NotYet
	}
	for _, d := range cfg.Warnings {
		log.Warn("configuration", "file", d.File, "line", d.Line, "column", d.Column, "path", d.Path, "id", d.ID, "problem", d.Message, "hint", d.Hint)
	}
	return cfg, nil
}

// listen opens both listeners before anything is served, so that an address
// that is taken fails at once. admin is nil when adminAddress is "".
func listen(ctx context.Context, address, adminAddress string) (public, admin net.Listener, err error) {
	var lc net.ListenConfig
	if public, err = lc.Listen(ctx, "tcp", address); err != nil {
		return nil, nil, err
	}
	if adminAddress == "" {
		return public, nil, nil
	}
	if admin, err = lc.Listen(ctx, "tcp", adminAddress); err != nil {
		public.Close()
		return nil, nil, err
	}
	return public, admin, nil
}
