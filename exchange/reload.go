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

// newSnapshot returns the service under cfg. It does no I/O.
func (s *Service) newSnapshot(cfg *config.Config) (*snapshot, error) {
	o := &s.options
	verifier, err := idtoken.New(cfg, idtoken.Options{Now: o.Now, Log: o.Log, Transport: o.Transport})
	if err != nil {
		return nil, err
	}
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
	return next, nil
}

// tlsFiles returns where the certificate is.
func (s *Service) tlsFiles() *config.TLS { return s.current.Load().cfg.Server.TLS }
