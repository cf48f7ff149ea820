package idtoken

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/internal/jwks"
)

// A Token is a verified ID token. Only Verify makes one; the zero Token is
// nobody's and nothing accepts it.
type Token struct {
	issuer   string
	issuerID string
	client   string
	claims   rules.Claims
}

// Issuer returns the issuer's configured name; "" for the zero Token.
func (t *Token) Issuer() string { return t.issuer }

// IssuerID returns the token's iss.
func (t *Token) IssuerID() string { return t.issuerID }

// Client returns azp, else the audience that matched.
func (t *Token) Client() string { return t.client }

// Claims returns the verified claims. They must not be changed.
func (t *Token) Claims() rules.Claims { return t.claims }

// Options are what a Verifier needs beyond the configuration.
type Options struct {
	Now       func() time.Time                       // required
	After     func(d time.Duration) <-chan time.Time // nil: time.After
	Log       *slog.Logger                           // required
	Transport http.RoundTripper                      // fetches keys; nil: one with limits
}

// A Verifier verifies the ID tokens of every configured issuer. It is safe for
// concurrent use.
type Verifier struct {
	rules   *rules.Set
	now     func() time.Time
	issuers []*issuer
	routes  map[string]route // by iss, byte for byte
}

// An issuer is one identity provider with its keys.
type issuer struct {
	name       string
	algorithms []string
	keys       *jwks.KeySet
}

// A route leads from a value of iss to the issuer and its verifier.
type route struct {
	*issuer
	verifier *oidc.IDTokenVerifier
}

// New returns a Verifier. It does no I/O: Start fetches keys.
func New(cfg *config.Config, o Options) (*Verifier, error) {
	v := &Verifier{rules: cfg.Rules, now: o.Now, routes: map[string]route{}}
	for i := range cfg.Issuers {
		c := &cfg.Issuers[i]
		client := jwks.NewClient(o.Transport, c.RootCAs)
		keys, err := jwks.New(jwks.Options{
			Algorithms: c.Algorithms,
			Static:     c.JWKS,
			URI:        c.JWKSURI,
			Discover:   func(ctx context.Context) (string, error) { return discover(ctx, client, c.URL) },
			Client:     client,
			Now:        o.Now,
			After:      o.After,
			Log:        o.Log.With("issuer", c.Name),
		})
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		is := &issuer{name: c.Name, algorithms: c.Algorithms, keys: keys}
		v.issuers = append(v.issuers, is)
		for _, id := range c.Policy.IssuerIDs {
			v.routes[id] = route{is, oidc.NewVerifier(id, keySet{keys}, &oidc.Config{
				SupportedSigningAlgs: c.Algorithms,
				// Audiences and times are checked by our policy, which is
				// stricter: several audiences, azp, exact bounds.
				SkipClientIDCheck: true,
				SkipExpiryCheck:   true,
			})}
		}
	}
	return v, nil
}

// Start keeps every issuer's keys fresh until ctx ends. It does not block.
func (v *Verifier) Start(ctx context.Context) {
	for _, is := range v.issuers {
		go is.keys.Run(ctx)
	}
}

// Verify verifies raw. The checks before the signature can only refuse; what
// is accepted was signed. The error is a *rules.Refusal.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	p, err := parse(raw)
	if err != nil {
		return nil, err
	}
	iss, _ := p.claims["iss"].(string)
	r, ok := v.routes[iss]
	if !ok {
		return nil, rules.Refuse(rules.UnknownIssuer, "iss is not a configured issuer's")
	}
	if !slices.Contains(r.algorithms, p.alg) {
		return nil, rules.Refuse(rules.UnsupportedToken, "issuer %s: its alg is not one of the issuer's algorithms", r.name)
	}
	now := v.now()
	if _, err := v.rules.CheckClaims(r.name, p.claims, now); err != nil {
		return nil, inIssuer(r.name, err)
	}
	if err := r.checkSignature(ctx, p); err != nil {
		return nil, err
	}
	// Once more, now that somebody vouches for what is checked: nothing that is
	// accepted hangs on a check made before the signature was.
	client, err := v.rules.CheckClaims(r.name, p.claims, now)
	if err != nil {
		return nil, inIssuer(r.name, err)
	}
	return &Token{issuer: r.name, issuerID: iss, client: client, claims: p.claims}, nil
}

// inIssuer adds the issuer's name to a refusal's detail.
func inIssuer(name string, err error) error {
	var r *rules.Refusal
	if !errors.As(err, &r) {
		return err
	}
	return rules.Refuse(r.Reason, "issuer %s: %s", name, r.Detail)
}

// checkSignature has go-oidc verify the token with our keys.
func (r route) checkSignature(ctx context.Context, p *parsed) error {
	a := &attempt{parsed: p}
	_, err := r.verifier.Verify(context.WithValue(ctx, attemptKey{}, a), p.raw)
	switch {
	case err == nil && a.verified:
		return nil
	case errors.Is(a.err, jwks.ErrUnavailable):
		return rules.Refuse(rules.KeysUnavailable, "issuer %s: there are no keys to check with", r.name)
	}
	return rules.Refuse(rules.BadSignature, "issuer %s: no key of the issuer's made the signature (kid %q)", r.name, p.kid)
}

// An attempt is the verification of one token. It goes through go-oidc by the
// context, because go-oidc hands on the text alone, and its errors' text.
type attempt struct {
	*parsed
	verified bool
	err      error
}

type attemptKey struct{}

// A keySet lets go-oidc check signatures with our keys.
type keySet struct{ keys *jwks.KeySet }

// VerifySignature implements oidc.KeySet. go-oidc compares the payload it
// returns with the one it read itself.
func (k keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok || a.raw != raw {
		return nil, jwks.ErrInvalid // not the token that was parsed
	}
	iss, _ := a.claims["iss"].(string)
	a.err = k.keys.Verify(ctx, &jwks.Signed{Issuer: iss, Algorithm: a.alg, KeyID: a.kid, Input: a.signed, Signature: a.signature})
	a.verified = a.err == nil
	return a.payload, a.err
}

// KeyStatus is the state of one issuer's keys.
type KeyStatus struct {
	Issuer  string    `json:"issuer"`           // its name
	Ready   bool      `json:"ready"`            // it has had keys
	Keys    int       `json:"keys"`             // usable now
	Fetched time.Time `json:"fetched,omitzero"` // last success; zero for jwks_file
	Error   string    `json:"error,omitempty"`  // of the last fetch
}

// Keys returns the state of every issuer's keys, in the order of the
// configuration.
func (v *Verifier) Keys() []KeyStatus {
	status := make([]KeyStatus, len(v.issuers))
	for i, is := range v.issuers {
		s := is.keys.Status()
		status[i] = KeyStatus{is.name, s.Ready, s.Keys, s.Fetched, s.Error}
	}
	return status
}

// discover returns where an issuer's keys are, by its discovery document
// (OpenID Connect Discovery 1.0 §4). Its errors tell nothing that the provider
// wrote; go-oidc's do.
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	ctx = oidc.InsecureIssuerURLContext(oidc.ClientContext(ctx, client), issuer)
	// Entra publishes the template of all tenants' issuers under "common".
	provider, err := oidc.NewProvider(ctx, strings.ReplaceAll(issuer, "{tenantid}", "common"))
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			return "", jwks.Reason(err)
		}
		return "", errors.New("the provider's discovery document could not be read")
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return "", errors.New("the provider's discovery document could not be read")
	}
	// Checked here and not by go-oidc, which cannot know the template.
	if document.Issuer != issuer {
		return "", errors.New("the discovery document names another issuer")
	}
	configured, err := url.Parse(issuer)
	if err != nil {
		return "", errors.New("the issuer is not a URL")
	}
	uri, err := url.Parse(document.JWKSURI)
	if err != nil || uri.Host == "" || uri.Scheme != "https" && uri.Scheme != configured.Scheme {
		return "", errors.New("jwks_uri in the discovery document is not an https URL")
	}
	return document.JWKSURI, nil
}
