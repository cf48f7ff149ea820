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
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
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

	moved []string // what is not where it usually is
}

func (d *devServer) run(ctx context.Context, p *program) error {
	public, err := d.listen(ctx, "the token service", d.address, devAddress)
	if err != nil {
		return err
	}
	defer public.Close()
	admin, err := d.listen(ctx, "the operators' listener", "", devAdminAddress)
	if err != nil {
		return err
	}
	defer admin.Close()
	providerListener, err := d.listen(ctx, "the identity provider", d.providerAddress, devProviderAddress)
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
	audit := &quiet{w: p.stderr}
	service, err := exchange.New(cfg, exchange.Options{Now: p.now, Log: log, Audit: audit})
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- serveProvider(ctx, providerListener, provider.Handler()) }()
	go func() { ended <- service.Serve(ctx, public, admin) }()

	if err := d.introduce(ctx, p, cfg, provider, admin.Addr(), providerURL); err != nil && ctx.Err() == nil {
		return err
	}
	audit.heard.Store(true)
	first := <-ended
	stop()
	return errors.Join(first, <-ended)
}

// quiet drops what is written to it until it is heard: dev tells of its own
// exchange in words.
type quiet struct {
	w     io.Writer
	heard atomic.Bool
}

func (q *quiet) Write(b []byte) (int, error) {
	if !q.heard.Load() {
		return len(b), nil
	}
	return q.w.Write(b)
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
			realm.Personas = append(realm.Personas, devidp.Persona{Name: name, Description: prospect(cfg.Rules, c), Claims: c.Claims})
		}
		if realm.Personas == nil {
			realm.Personas = []devidp.Persona{{Name: "someone", Description: "this issuer has no test cases to take personas from",
				Claims: map[string]any{"sub": "someone", "name": "Some One", "email": "someone@example.com", "email_verified": true}}}
		}
		out = append(out, realm)
	}
	return out
}

// prospect says what a case's person gets for the token alone and, where the
// case asks for something, with that.
func prospect(set *rules.Set, c *rules.Case) string {
	alone := *c
	alone.Request, alone.Scope = nil, nil
	before, after := set.RunCase(&alone), set.RunCase(c)
	text := outcome(before)
	if len(c.Request) == 0 && len(c.Scope) == 0 {
		return text
	}
	var asked []string
	for _, name := range slices.Sorted(maps.Keys(c.Request)) {
		asked = append(asked, name+"="+c.Request[name])
	}
	if len(c.Scope) > 0 {
		asked = append(asked, "scope="+strings.Join(c.Scope, "+"))
	}
	text += "; with " + strings.Join(asked, " ") + " "
	if before.Decision == nil || after.Decision == nil {
		return text + outcome(after)
	}
	had, has := before.Decision.Grants.Kinds(), after.Decision.Grants.Kinds()
	var more []rules.Kind
	for _, kind := range has {
		if !slices.Contains(had, kind) {
			more = append(more, kind)
		}
	}
	switch {
	case len(had)+len(more) > len(has):
		return text + "gets only " + kindNames(has)
	case len(more) > 0:
		return text + "also " + kindNames(more)
	case reflect.DeepEqual(before.Decision.Grants, after.Decision.Grants):
		return text + "the same"
	}
	return text + "the same kinds, for something else"
}

func outcome(r rules.Result) string {
	if r.Decision == nil {
		return "is refused: " + string(rules.ReasonOf(r.Err))
	}
	return "gets " + kindNames(r.Decision.Grants.Kinds())
}

func kindNames(kinds []rules.Kind) string {
	var words []string
	for _, kind := range kinds {
		words = append(words, string(kind))
	}
	return strings.Join(words, ", ")
}

// slug makes a test case's name fit for a URL.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}

// introduce says where everything is, and shows one exchange.
func (d *devServer) introduce(ctx context.Context, p *program, cfg *config.Config, provider *devidp.Provider, admin net.Addr, providerURL string) error {
	ctx, cancel := context.WithTimeout(ctx, devStart)
	defer cancel()
	realm := realms(cfg)[0]
	persona := realm.Personas[0].Name
	tokenURL, adminURL := cfg.Server.PublicURL+"/token", "http://"+admin.String()
	fmt.Fprintf(p.stdout, "twilio-sts dev: on this machine only, with a throwaway Twilio key\n\n")
	for _, line := range d.moved {
		fmt.Fprintf(p.stdout, "  %s\n", line)
	}
	fmt.Fprintf(p.stdout, `  token service      %s
  identity provider  %s
  operators          %s

Sign in at the identity provider as

%s
An ID token becomes a Twilio access token:

  curl -s %s -H "Authorization: Bearer $(curl -s '%s')"

`, tokenURL, providerURL, adminURL, personaLines(realm), tokenURL, idTokenURL(providerURL, realm.Name, persona))

	if err := waitReady(ctx, cfg.Server.PublicURL+"/readyz"); err != nil {
		return err
	}
	idToken, err := signIn(ctx, provider.Issuer(realm.Name), realm.Audiences[0], persona)
	if err != nil {
		return err
	}
	traceID := randomHex()
	status, answer, err := exchangeOnce(ctx, tokenURL, idToken, traceID)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Tried just now: %s signed in (authorization code with PKCE), and the exchange answered %d:\n\n", persona, status)
	for _, line := range answer {
		fmt.Fprintf(p.stdout, "  %-9s %s\n", line[0], line[1])
	}
	fmt.Fprintf(p.stdout, "\nWhich rules it came by, and for who is refused each rule's verdict:\n\n  twilio-sts explain --trace-id %s", traceID)
	if adminURL != defaultAdmin {
		fmt.Fprintf(p.stdout, " --admin %s", adminURL)
	}
	fmt.Fprintln(p.stdout, "\n\nCtrl-C stops it.")
	return nil
}

// personaLines has a line for each persona; of many, for some.
func personaLines(realm devidp.Realm) string {
	const most = 10
	shown := realm.Personas[:min(most, len(realm.Personas))]
	width := 0
	for _, persona := range shown {
		width = max(width, len(persona.Name))
	}
	var b strings.Builder
	for _, persona := range shown {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, persona.Name, persona.Description)
	}
	if more := len(realm.Personas) - most; more > 0 {
		fmt.Fprintf(&b, "  and %d more, which its page lists\n", more)
	}
	return b.String()
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

// exchangeOnce exchanges idToken by RFC 8693 under a trace id and returns what a
// person wants to know of the answer, as pairs of name and value.
func exchangeOnce(ctx context.Context, tokenURL, idToken, traceID string) (status int, answer [][2]string, err error) {
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
	req.Header.Set("Traceparent", "00-"+traceID+"-"+traceID[:16]+"-01")
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

// listen listens for what, and notes where it is when its usual address is taken.
func (d *devServer) listen(ctx context.Context, what, address, usual string) (net.Listener, error) {
	l, err := listenLoopback(ctx, address, usual)
	if err == nil && address == "" && l.Addr().String() != usual {
		_, taken, _ := net.SplitHostPort(usual)
		d.moved = append(d.moved, fmt.Sprintf("%s is taken, so %s is at %s", taken, what, l.Addr()))
	}
	return l, err
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
