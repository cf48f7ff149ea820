package idtoken

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
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
	signed   string // header.payload, canonical
}

// Issuer returns the issuer's configured name; "" for the zero Token.
func (t *Token) Issuer() string { return t.issuer }

// IssuerID returns the issuer as it is configured, its tenant filled in.
func (t *Token) IssuerID() string { return t.issuerID }

// Client returns azp, else the audience that matched.
func (t *Token) Client() string { return t.client }

// Claims returns the verified claims. They must not be changed.
func (t *Token) Claims() rules.Claims { return t.claims }

// Input returns what is to be decided for the token's owner, who asks with these
// parameters for these kinds of grant; scope nil stands for all.
func (t *Token) Input(parameters map[string]string, scope []string, now time.Time) *rules.Input {
	return &rules.Input{Issuer: t.issuer, IssuerID: t.issuerID, Client: t.client, Claims: t.claims, Request: parameters, Scope: scope, Now: now}
}

// ReplayKey names the token, whoever presents it and in whatever form: SHA-256
// of the issuer, 0x00 and the bytes that were signed. The signature is no part of it,
// because an ECDSA signature has a twin that verifies as well.
func (t *Token) ReplayKey() [sha256.Size]byte {
	return sha256.Sum256([]byte(t.issuerID + "\x00" + t.signed))
}

// A Rejection says why a token was not verified, and for operators what of it
// is known: the issuer's configured name, "" when it has none, and the kid,
// which is the client's word.
type Rejection struct {
	Refusal *rules.Refusal
	Issuer  string
	KeyID   string
}

func (r *Rejection) Error() string { return r.Refusal.Error() }

// Unwrap returns the refusal.
func (r *Rejection) Unwrap() error { return r.Refusal }

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
	options Options
	rules   *rules.Set
	now     func() time.Time
	issuers []*issuer
	routes  map[string]route // by iss, byte for byte
	gate    chan struct{}    // holds an item for each signature that is being checked
}

// gateFactor bounds how many signatures are checked at a time, for each
// processor: more would only make each of them wait longer.
const gateFactor = 4

// An issuer is one identity provider with its keys.
type issuer struct {
	cfg  *config.Issuer
	keys *jwks.KeySet
}

// A route leads from a value of iss to the issuer and its verifier.
type route struct {
	*issuer
	id       string // as configured, its tenant filled in
	verifier *oidc.IDTokenVerifier
}

// New returns a Verifier. It does no I/O: Start fetches keys.
func New(cfg *config.Config, o Options) (*Verifier, error) {
	before := &Verifier{options: o, gate: make(chan struct{}, gateFactor*runtime.GOMAXPROCS(0))}
	return before.Next(cfg)
}

// Next returns a Verifier for another configuration. Issuers whose keys are
// those of an issuer of v share its key set, and all share v's bound on
// signatures at a time.
func (v *Verifier) Next(cfg *config.Config) (*Verifier, error) {
	next := &Verifier{options: v.options, rules: cfg.Rules, now: v.options.Now, routes: map[string]route{}, gate: v.gate}
	for i := range cfg.Issuers {
		c := &cfg.Issuers[i]
		keys, err := v.keysFor(c)
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		is := &issuer{c, keys}
		next.issuers = append(next.issuers, is)
		for _, iss := range c.Policy.IssuerIDs {
			next.routes[iss] = route{is, c.Policy.IssuerID(iss), oidc.NewVerifier(iss, foundKey{}, &oidc.Config{
				SupportedSigningAlgs: c.Algorithms,
				// Audiences and times are checked by our policy, which is
				// stricter: several audiences, azp, exact bounds.
				SkipClientIDCheck: true,
				SkipExpiryCheck:   true,
			})}
		}
	}
	return next, nil
}

// keysFor returns the key set of an issuer of v whose keys are c's, or a new one.
func (v *Verifier) keysFor(c *config.Issuer) (*jwks.KeySet, error) {
	for _, is := range v.issuers {
		if sameKeys(is.cfg, c) {
			return is.keys, nil
		}
	}
	o := &v.options
	client := jwks.NewClient(o.Transport, c.RootCAs)
	return jwks.New(jwks.Options{
		Algorithms: c.Algorithms,
		Static:     c.JWKS,
		URI:        c.JWKSURI,
		Discover:   func(ctx context.Context) (string, error) { return discover(ctx, client, c.URL) },
		Client:     client,
		Now:        o.Now,
		After:      o.After,
		Log:        o.Log.With("issuer", c.Name),
	})
}

// sameKeys reports whether two issuers have the same keys, found in the same
// place and by the same trust. The name is in the key set's events.
func sameKeys(a, b *config.Issuer) bool {
	return a.Name == b.Name && a.URL == b.URL && a.JWKSURI == b.JWKSURI && bytes.Equal(a.JWKS, b.JWKS) &&
		a.RootCAs.Equal(b.RootCAs) && slices.Equal(a.Algorithms, b.Algorithms)
}

// Start keeps every issuer's keys fresh until ctx ends, or Retire. It does not
// block.
func (v *Verifier) Start(ctx context.Context) {
	for _, is := range v.issuers {
		is.keys.Start(ctx)
	}
}

// Retire no longer keeps those keys fresh that next does not share. Who
// verifies by v still can, for as long as the keys may be used.
func (v *Verifier) Retire(next *Verifier) {
	shared := map[*jwks.KeySet]bool{}
	for _, is := range next.issuers {
		shared[is.keys] = true
	}
	for _, is := range v.issuers {
		if !shared[is.keys] {
			is.keys.Stop()
		}
	}
}

// Verify verifies raw. The checks before the signature can only refuse; what
// is accepted was signed. The error is a *Rejection.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	return v.verify(ctx, raw, &Rejection{}, v.rules.CheckClaims)
}

// A check applies the policy of the issuer with the given name to claims.
type check func(issuer string, claims rules.Claims, now time.Time) (client string, err error)

// verify verifies a token whose claims are as policy wants them and whose typ
// may be one of types, too. It notes in known what it learns of the token.
func (v *Verifier) verify(ctx context.Context, raw string, known *Rejection, policy check, types ...string) (*Token, error) {
	token, err := v.verified(ctx, raw, known, policy, types)
	if err == nil {
		return token, nil
	}
	if !errors.As(err, &known.Refusal) {
		known.Refusal = &rules.Refusal{Reason: rules.Internal, Detail: "the verification broke off"}
	}
	return nil, known
}

func (v *Verifier) verified(ctx context.Context, raw string, known *Rejection, policy check, types []string) (*Token, error) {
	p, err := parse(raw, types...)
	if err != nil {
		return nil, err
	}
	known.KeyID = p.kid
	iss, _ := p.claims["iss"].(string)
	r, ok := v.routes[iss]
	if !ok {
		return nil, rules.Refuse(rules.UnknownIssuer, "iss is not a configured issuer's")
	}
	known.Issuer = r.cfg.Name
	if !slices.Contains(r.cfg.Algorithms, p.alg) {
		return nil, rules.Refuse(rules.UnsupportedToken, "its alg is not one of the issuer's algorithms")
	}
	now := v.now()
	if _, err := policy(r.cfg.Name, p.claims, now); err != nil {
		return nil, err
	}
	key, err := r.keys.Find(ctx, p.kid, p.alg)
	switch {
	case errors.Is(err, jwks.ErrUnknown):
		return nil, rules.Refuse(rules.BadSignature, "the issuer has no such key")
	case errors.Is(err, jwks.ErrOverloaded):
		return nil, rules.Refuse(rules.Overloaded, "too many requests wait for the issuer's keys")
	case err != nil:
		return nil, rules.Refuse(rules.KeysUnavailable, "there are no keys to check with")
	}
	if err := v.checkSignature(ctx, r.verifier, &attempt{parsed: p, issuer: iss, key: key}); err != nil {
		return nil, err
	}
	// Once more, now that somebody vouches for what is checked: nothing that is
	// accepted hangs on a check made before the signature was.
	client, err := policy(r.cfg.Name, p.claims, now)
	if err != nil {
		return nil, err
	}
	return &Token{issuer: r.cfg.Name, issuerID: r.id, client: client, claims: p.claims, signed: p.signed}, nil
}

// checkSignature checks the signature with the key that was found, and then
// has go-oidc verify the token with it. In this order a forged token costs less
// than a good one: go-oidc reads the whole token first.
func (v *Verifier) checkSignature(ctx context.Context, verifier *oidc.IDTokenVerifier, a *attempt) error {
	select {
	case v.gate <- struct{}{}:
		defer func() { <-v.gate }()
	default:
		return rules.Refuse(rules.Overloaded, "too many signatures are being checked")
	}
	if a.verified = a.key.Verify(a.issuer, []byte(a.signed), a.signature); a.verified {
		if _, err := verifier.Verify(context.WithValue(ctx, attemptKey{}, a), a.raw); err == nil {
			return nil
		}
	}
	return rules.Refuse(rules.BadSignature, "the key that it names did not make the signature")
}

// An attempt is the verification of one token. It goes through go-oidc by the
// context, because go-oidc hands on the text alone.
type attempt struct {
	*parsed
	issuer   string // iss
	key      *jwks.Key
	verified bool
}

type attemptKey struct{}

// foundKey tells go-oidc that the signature was checked with the key that was
// found for it.
type foundKey struct{}

// VerifySignature implements oidc.KeySet. go-oidc compares the payload it
// returns with the one it read itself.
func (foundKey) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok || !a.verified || a.raw != raw { // not the token that was checked
		return nil, errSignature
	}
	return a.payload, nil
}

var errSignature = errors.New("the signature is not valid")

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
		status[i] = KeyStatus{is.cfg.Name, s.Ready, s.Keys, s.Fetched, s.Error}
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
	if !mayHoldKeys(document.JWKSURI, issuer) {
		return "", errors.New("jwks_uri in the discovery document is not an https URL")
	}
	return document.JWKSURI, nil
}

// mayHoldKeys reports whether an issuer's keys may be at uri: it is https, or,
// for an issuer on loopback, which alone may do without, http on loopback.
func mayHoldKeys(uri, issuer string) bool {
	u, err := url.Parse(uri)
	return err == nil && config.IsSecure(u) && (u.Scheme == "https" || strings.HasPrefix(issuer, "http://"))
}
