package exchange

import (
	"net/http"

	"twilio-sts/config"
	"twilio-sts/exchange/internal/accesstoken"
	"twilio-sts/exchange/internal/idtoken"
)

// A snapshot is the service under one configuration. It is immutable; what
// outlives a configuration is the Service's. A request keeps the snapshot that
// it began with.
type snapshot struct {
	*Service
	cfg      *config.Config
	verifier *idtoken.Verifier
	minter   *accesstoken.Minter
	audit    *audit
	limits   *limits

	public, admin http.Handler
}

// newSnapshot returns the service under cfg. verifier is for cfg.
func (s *Service) newSnapshot(cfg *config.Config, verifier *idtoken.Verifier) *snapshot {
	o := &s.options
	if !cfg.Audit.Key.IsSet() {
		o.Log.Warn("audit.key is not set: subject hashes cannot be compared across starts or replicas")
	}
	next := &snapshot{
		Service:  s,
		cfg:      cfg,
		verifier: verifier,
		minter:   accesstoken.New(accesstoken.Options{Accounts: cfg.Accounts, Now: o.Now, Rand: o.Rand}),
		audit:    newAudit(cfg, s.auditLog),
		limits:   &limits{limiter: s.limiter, cfg: cfg.Limits},
	}
	next.public, next.admin = next.publicHandler(), next.adminHandler()
	return next
}

// Reload serves cfg from the next request on, all of it, or with an error none
// of it. Requests that have begun go on under the configuration that they began
// with. What was counted, marked and decided is kept, and so are the keys of
// issuers that did not change; those of others are fetched. A service that was
// ready stays so. The error is config.Diagnostics where only a restart can serve
// cfg. It is logged, as by ReloadFailed.
func (s *Service) Reload(cfg *config.Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if err := s.replace(cfg); err != nil {
		s.reloadFailed(err)
		return err
	}
	s.log.Info("serving", "config", cfg.Hash)
	if s.options.OnReload != nil {
		s.options.OnReload(cfg.Hash, nil)
	}
	return nil
}

func (s *Service) replace(cfg *config.Config) error {
	before := s.current.Load()
	if found := cfg.NeedsRestart(before.cfg); len(found) > 0 {
		return found
	}
	verifier, err := before.verifier.Next(cfg)
	if err != nil {
		return err
	}
	next := s.newSnapshot(cfg, verifier)
	before.isReady() // which remembers it, before there are issuers without keys
	if s.running != nil {
		verifier.Start(s.running)
	}
	s.current.Store(next)
	before.verifier.Retire(verifier)
	return nil
}

// ReloadFailed logs that there is another configuration, which could not be
// loaded for err. What is served stays.
func (s *Service) ReloadFailed(err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.reloadFailed(err)
}

func (s *Service) reloadFailed(err error) {
	hash := s.current.Load().cfg.Hash
	s.log.Error("configuration not reloaded; the one before stays in use", "error", err, "config", hash)
	if s.options.OnReload != nil {
		s.options.OnReload(hash, err)
	}
}

// Compare has candidate decide every exchange too from now on, in the place of
// the Shadow, if any, which sees all that it took before Compare returns.
func (s *Service) Compare(candidate *config.Config) {
	s.shadow.Swap(newShadow(candidate, s.log, s.now())).close()
	s.log.Info("comparing", "shadow", candidate.Hash)
}

// tlsFiles returns where the certificate is.
func (s *Service) tlsFiles() *config.TLS { return s.current.Load().cfg.Server.TLS }
