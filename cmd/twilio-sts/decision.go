package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange"
)

const (
	defaultAdmin  = "http://127.0.0.1:8081"
	adminTokenEnv = "TWILIO_STS_ADMIN_TOKEN"
	adminWait     = 10 * time.Second
	mostDecision  = 64 << 20 // bytes of one with its trace
)

var traceIDShape = regexp.MustCompile(`^[0-9a-f]{32}$`)

// decision explains what a running service decided.
func (c *explainCommand) decision(cmd *cobra.Command, p *program) error {
	switch {
	case c.traceID == "":
		return usageErrorf("--admin goes with --trace-id\ntwilio-sts: hint: twilio-sts explain --help")
	case !traceIDShape.MatchString(c.traceID):
		return usageErrorf("%s is no trace id: 32 hex digits in lower case", strconv.Quote(c.traceID))
	}
	for _, name := range []string{"token", "claims", "issuer", "param", "scope", "unverified", "show-values"} {
		if cmd.Flags().Changed(name) {
			return usageErrorf("--trace-id and --%s do not go together: what was asked and decided is remembered as it was", name)
		}
	}
	token, err := c.adminAccess(p, cmd.Flags().Changed("config"))
	if err != nil {
		return err
	}
	raw, err := c.findDecision(cmd.Context(), p, token)
	if err != nil {
		return err
	}
	var d exchange.Decision
	if err := json.Unmarshal(raw, &d); err != nil || d.Outcome == "" {
		return errors.New("what the service answered is no decision; are its version and this one the same?")
	}
	if c.json {
		err = p.printJSON(json.RawMessage(raw))
	} else {
		printDecision(p.stdout, &d)
	}
	if err == nil && d.Outcome != "granted" {
		err = errProblems
	}
	return err
}

// adminAccess returns the admin token, "" for none, and sets c.admins where no
// URL was given.
func (c *explainCommand) adminAccess(p *program, withConfig bool) (token string, err error) {
	listen := strings.TrimPrefix(defaultAdmin, "http://")
	if value, ok := p.getenv(adminTokenEnv); ok {
		token = value
	}
	if withConfig {
		cfg, err := p.load(c.path, config.Options{NoSecrets: c.noSecrets, SkipTests: true})
		if err != nil {
			return "", err
		}
		listen = cfg.Server.AdminListen
		if token == "" && !c.noSecrets { // it could be a placeholder
			token = cfg.Server.AdminToken.Reveal()
		}
	}
	if len(c.admins) > 0 {
		return token, nil
	}
	if listen == "" {
		return "", fmt.Errorf("server.admin_listen is off in %s: there is nobody to ask", c.path)
	}
	address, err := localAddress(listen)
	c.admins = []string{"http://" + address}
	return token, err
}

// findDecision asks each admin listener until one has the decision.
func (c *explainCommand) findDecision(ctx context.Context, p *program, token string) ([]byte, error) {
	client := &http.Client{
		Timeout: adminWait,
		// The token is for nobody else: no proxy of the environment, and nobody
		// a redirect names.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var said []string
	notFound := 0
	for _, admin := range c.admins {
		base, err := url.Parse(admin)
		if err != nil || base.Host == "" || base.User != nil || base.Scheme != "http" && base.Scheme != "https" {
			return nil, usageErrorf("%s is not the URL of an admin listener\ntwilio-sts: hint: --admin %s", strconv.Quote(admin), defaultAdmin)
		}
		status, body, err := askAdmin(ctx, client, base.JoinPath("decisions", c.traceID), token)
		switch {
		case err != nil:
			said = append(said, admin+" could not be asked: "+err.Error())
		case status == http.StatusOK:
			return body, nil
		default:
			said = append(said, admin+" answered "+refusalText(status, body))
			if status == http.StatusNotFound {
				notFound++
			}
		}
	}
	text := fmt.Sprintf("no decision was found for trace id %s\n  %s", c.traceID, strings.Join(said, "\n  "))
	if notFound < len(c.admins) {
		return nil, errors.New(text)
	}
	fmt.Fprintf(p.stderr, "twilio-sts: error: %s\ntwilio-sts: hint: a service remembers its last 1,000 since its start, each replica its own; the audit log has all\n", text)
	return nil, errProblems
}

func askAdmin(ctx context.Context, client *http.Client, u *url.URL, token string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // it would say the URL once more
		}
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, mostDecision))
	return resp.StatusCode, body, err
}

// refusalText is what a service answered in place of a decision.
func refusalText(status int, body []byte) string {
	var refusal struct {
		Description string `json:"error_description"`
	}
	text := strconv.Itoa(status)
	if json.Unmarshal(body, &refusal) == nil && refusal.Description != "" {
		text += ": " + printable(refusal.Description)
	}
	if status == http.StatusUnauthorized {
		text += "; set " + adminTokenEnv + ", or name the configuration by --config"
	}
	return text
}

// printDecision prints what a person reads.
func printDecision(w io.Writer, d *exchange.Decision) {
	e := &explained{Refused: d.Reason, Detail: string(d.Reason)}
	if d.Detail != "" {
		e.Detail += ": " + d.Detail
	}
	if d.Trace != nil {
		e.Require, e.Rules = d.Trace.Require, d.Trace.Rules
		if d.Reason == rules.NoRule {
			e.Closest = newClosest(d.Trace.Closest())
		}
	}
	p := &explainPrinter{explained: e, w: w}
	p.line("%s, by configuration %.12s", d.Time.Format(time.RFC3339), d.Config)
	if d.Verified {
		p.line("the token verified")
		p.line("issuer %s, client %s, address %s, subject hash %s", d.Issuer, printable(d.Client), orNone(d.Address), d.Subject)
	} else {
		p.line("no token verified")
		p.line("issuer %s, kid %s, address %s", orUnknown(d.Issuer), orUnknown(printable(d.KeyID)), orNone(d.Address))
	}
	if sub, err := json.Marshal(d.Sub); err == nil && d.Sub != "" { // with subjects: plain
		d.Claims = maps.Clone(d.Claims)
		if d.Claims == nil {
			d.Claims = map[string]json.RawMessage{}
		}
		d.Claims["sub"] = sub
	}
	for _, name := range slices.Sorted(maps.Keys(d.ClaimTypes)) {
		p.line("  %s %s", printable(name), remembered(d.Claims[name], d.ClaimTypes[name]))
	}
	for _, name := range d.Parameters {
		value, err := json.Marshal(d.Request[name])
		if _, ok := d.Request[name]; !ok || err != nil {
			value = nil
		}
		p.line("  request.%s %s", name, remembered(value, "string"))
	}
	p.steps()
	if d.Untraced != "" {
		p.line("\nnot all is remembered: %s", d.Untraced)
	}
	if d.Outcome != "granted" {
		p.outcome()
		return
	}
	p.line("\ngranted\n  rules     %s", strings.Join(d.Rules, ", "))
	if d.Identity != "" {
		p.line("  identity  %s", d.Identity)
	}
	p.line("  ttl       %s\n  grants    %s\n  jti       %s", time.Duration(d.TTL)*time.Second, strings.Join(d.Grants, ", "), d.TokenID)
}

// remembered is a value as JSON, or the type of one that is not remembered.
func remembered(value json.RawMessage, kind string) string {
	if value == nil {
		return "unknown (" + kind + ")"
	}
	return string(value)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
