package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange"
	"twilio-sts/exchange/devidp"
)

//go:embed dev.yaml
var devConfig []byte

// Where dev listens when it is not told; a taken address gives way to a free
// one.
const (
	devAddress         = "127.0.0.1:8080"
	devAdminAddress    = "127.0.0.1:8081"
	devProviderAddress = "127.0.0.1:8082"
)

// devStart bounds the time until the first exchange.
const devStart = 15 * time.Second

func (p *program) devCommand() *cobra.Command {
	var d devServer
	cmd := &cobra.Command{
		Use:   "dev [--config FILE]",
		Short: "Try it on this machine: no account, no setup",
		Long: `Run the token service with a development identity provider, on loopback only.

There are personas to sign in as, each a test case of the configuration, and a
throwaway Twilio key: the tokens are right in every way but that Twilio does not
know the key. With --config each of the file's issuers is played by the
development provider, under its own name, audiences and claim types; none of the
file's secrets is read.`,
		Example: `  twilio-sts dev
  twilio-sts dev --config config.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.run(cmd.Context(), p)
		},
	}
	cmd.Flags().StringVar(&d.path, "config", "", "the configuration `FILE` to try; a small one of its own when not given")
	cmd.Flags().StringVar(&d.address, "listen", "", "loopback `ADDRESS` of the token service (default "+devAddress+", or a free port)")
	cmd.Flags().StringVar(&d.providerAddress, "provider-listen", "", "loopback `ADDRESS` of the identity provider (default "+devProviderAddress+", or a free port)")
	return cmd
}

// A devServer is one run of the dev command.
type devServer struct {
	path, address, providerAddress string
}

func (d *devServer) run(ctx context.Context, p *program) error {
	public, err := listenLoopback(ctx, d.address, devAddress)
	if err != nil {
		return err
	}
	defer public.Close()
	admin, err := listenLoopback(ctx, "", devAdminAddress)
	if err != nil {
		return err
	}
	defer admin.Close()
	providerListener, err := listenLoopback(ctx, d.providerAddress, devProviderAddress)
	if err != nil {
		return err
	}
	defer providerListener.Close()

	providerURL := "http://" + providerListener.Addr().String()
	cfg, err := d.load(p, "http://"+public.Addr().String(), providerURL)
	if err != nil {
		return err
	}
	provider, err := devidp.New(providerURL, devidp.Options{Now: p.now, Realms: realms(cfg), Origins: cfg.Server.AllowedOrigins})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	service, err := exchange.New(cfg, exchange.Options{Now: p.now, Log: log, Audit: p.stderr})
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- serveProvider(ctx, providerListener, provider.Handler()) }()
	go func() { ended <- service.Serve(ctx, public, admin) }()

	if err := d.introduce(ctx, p, cfg, provider, public.Addr(), admin.Addr(), providerURL); err != nil && ctx.Err() == nil {
		return err
	}
	first := <-ended
	stop()
	return errors.Join(first, <-ended)
}

// load loads the configuration with the development provider in the place of
// every issuer, and everything about it that is not for loopback replaced.
func (d *devServer) load(p *program, publicURL, providerURL string) (*config.Config, error) {
	o := config.Options{NoSecrets: true, IssuerURL: func(name string) string { return providerURL + "/" + name }}
	var cfg *config.Config
	var err error
	if d.path != "" {
		cfg, err = p.load(d.path, o)
	} else {
		cfg, err = config.Parse("dev.yaml", devConfig, o)
	}
	if err != nil {
		return nil, err
	}
	cfg.Server.PublicURL, cfg.Server.TLS, cfg.Server.TrustedProxies = publicURL, nil, nil
	cfg.Server.AdminToken = config.Secret{}
	cfg.Audit.Key = config.NewSecret(randomHex())
	for i := range cfg.Accounts {
		account := &cfg.Accounts[i]
		account.AccountSID, account.APIKeySID = "AC"+randomHex(), "SK"+randomHex()
		account.APIKeySecret = config.NewSecret(randomHex())
	}
	return cfg, nil
}

// randomHex returns 128 random bits, as many as a Twilio SID has.
func randomHex() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails, crypto/rand
	return hex.EncodeToString(b)
}

// realms gives each issuer a realm whose personas are the configuration's test
// cases for it.
func realms(cfg *config.Config) []devidp.Realm {
	var out []devidp.Realm
	for _, issuer := range cfg.Issuers {
		realm := devidp.Realm{Name: issuer.Name, Audiences: issuer.Policy.Audiences}
		taken := map[string]bool{}
		for i := range cfg.Cases {
			c := &cfg.Cases[i]
			name := slug(c.Name)
			if c.Issuer != issuer.Name || taken[name] {
				continue
			}
			taken[name] = true
			realm.Personas = append(realm.Personas, devidp.Persona{Name: name, Description: outcome(cfg.Rules.RunCase(c)), Claims: c.Claims})
		}
		if realm.Personas == nil {
			realm.Personas = []devidp.Persona{{Name: "someone", Description: "this issuer has no test cases to take personas from",
				Claims: map[string]any{"sub": "someone", "name": "Some One", "email": "someone@example.com", "email_verified": true}}}
		}
		out = append(out, realm)
	}
	return out
}

func outcome(r rules.Result) string {
	if r.Decision == nil {
		return "is refused: " + string(rules.ReasonOf(r.Err))
	}
	var kinds []string
	for _, kind := range r.Decision.Grants.Kinds() {
		kinds = append(kinds, string(kind))
	}
	return "gets " + strings.Join(kinds, ", ")
}

// slug makes a test case's name fit for a URL.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}

// introduce says where everything is, and shows one exchange.
func (d *devServer) introduce(ctx context.Context, p *program, cfg *config.Config, provider *devidp.Provider, public, admin net.Addr, providerURL string) error {
	ctx, cancel := context.WithTimeout(ctx, devStart)
	defer cancel()
	realm := realms(cfg)[0]
	persona := realm.Personas[0].Name
	tokenURL := cfg.Server.PublicURL + "/token"
	fmt.Fprintf(p.stdout, `twilio-sts dev: on this machine only, with a throwaway Twilio key

  token service      %s
  identity provider  %s   sign in here as %s
  operators          http://%s/readyz

An ID token becomes a Twilio access token:

  curl -s %s -H "Authorization: Bearer $(curl -s '%s')"

`, tokenURL, providerURL, personaNames(realm), admin, tokenURL, idTokenURL(providerURL, realm.Name, persona))

	if err := waitReady(ctx, cfg.Server.PublicURL+"/readyz"); err != nil {
		return err
	}
	idToken, err := signIn(ctx, provider.Issuer(realm.Name), realm.Audiences[0], persona)
	if err != nil {
		return err
	}
	status, answer, err := exchangeOnce(ctx, tokenURL, idToken)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Tried just now: %s signed in (authorization code with PKCE), and the exchange answered %d:\n\n", persona, status)
	for _, line := range answer {
		fmt.Fprintf(p.stdout, "  %-9s %s\n", line[0], line[1])
	}
	fmt.Fprintln(p.stdout, "\nCtrl-C stops it.")
	return nil
}

func personaNames(realm devidp.Realm) string {
	var names []string
	for _, persona := range realm.Personas {
		names = append(names, persona.Name)
	}
	return strings.Join(names, ", ")
}

func idTokenURL(providerURL, realm, persona string) string {
	return providerURL + "/" + realm + "/id_token?persona=" + url.QueryEscape(persona)
}

// waitReady waits until url answers 200.
func waitReady(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the service did not become ready")
		case <-tick.C:
		}
	}
}

// exchangeOnce exchanges idToken by RFC 8693 and returns what a person wants
// to know of the answer, as pairs of name and value.
func exchangeOnce(ctx context.Context, tokenURL, idToken string) (status int, answer [][2]string, err error) {
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {idToken},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var body struct {
		Identity  string
		Grants    map[string]json.RawMessage
		ExpiresIn int64 `json:"expires_in"`
		Reason    string
		Action    string
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return 0, nil, fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, [][2]string{{"reason", body.Reason}, {"action", body.Action}}, nil
	}
	answer = append(answer, [2]string{"identity", body.Identity})
	kinds := make([]string, 0, len(body.Grants))
	for kind := range body.Grants {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	label := "grants"
	for _, kind := range kinds {
		var compact bytes.Buffer
		if err := json.Compact(&compact, body.Grants[kind]); err != nil {
			return 0, nil, err
		}
		answer = append(answer, [2]string{label, kind + " " + compact.String()})
		label = ""
	}
	return resp.StatusCode, append(answer, [2]string{"ttl", (time.Duration(body.ExpiresIn) * time.Second).String()}), nil
}

// serveProvider serves the development provider until ctx ends.
func serveProvider(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listenLoopback listens at address, or without one at the usual address, or
// when that is taken at a free port. It refuses what is not loopback.
func listenLoopback(ctx context.Context, address, usual string) (net.Listener, error) {
	wanted := address
	if wanted == "" {
		wanted = usual
	}
	host, _, err := net.SplitHostPort(wanted)
	if err != nil {
		return nil, usageErrorf("%s is not host:port", wanted)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, usageErrorf("%s is not a loopback address; dev never leaves this machine", wanted)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", wanted)
	if err != nil && address == "" {
		return lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	return l, err
}
