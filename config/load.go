package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"twilio-sts/config/rules"
)

// Load reads and compiles the configuration at path. Its error is Diagnostics
// when the file is at fault, all of its faults at once, and another error when
// it cannot be read.
func Load(path string, o Options) (*Config, error) {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	data, err := o.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, o)
}

// Parse is Load for content already read; path is used for messages and to
// resolve relative paths.
func Parse(path string, data []byte, o Options) (*Config, error) {
	d := newDecoder(path, data, o)
	cfg := &Config{}
	if root, ok := d.root(data); ok {
		d.document(cfg, root)
	}
	d.hideSecrets()
	faults, warnings := d.found.split()
	if len(faults) > 0 {
		found := append(faults, warnings...)
		// What is warned of may be why a test fails, and stands before it.
		slices.SortStableFunc(found, func(a, b Diagnostic) int {
			return cmp.Compare(rank(a), rank(b))
		})
		return nil, found
	}
	cfg.Warnings = warnings
	cfg.Hash = d.hash(data)
	cfg.fixed = d.fixedPlaces()
	return cfg, nil
}

// rank is 1 for what other diagnostics may be the cause of.
func rank(d Diagnostic) int {
	if d.ID == "test-failed" {
		return 1
	}
	return 0
}

// hideSecrets takes what is secret out of what was found: again, for what was
// found out since.
func (d *decoder) hideSecrets() {
	for i := range d.found {
		d.redact(&d.found[i])
	}
}

// hash is over the document and every file and variable it names, each with its
// length, so that no two configurations have the same text to hash. The hash is
// public. A short secret, such as an admin token somebody thought up, cannot be
// guessed by it, because the random secrets of the API keys are in there too.
func (d *decoder) hash(data []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s", len(data), data)
	for _, path := range slices.Sorted(maps.Keys(d.read)) {
		fmt.Fprintf(h, "%d\n%s", len(d.read[path]), d.read[path])
	}
	for _, name := range slices.Sorted(maps.Keys(d.variables)) {
		fmt.Fprintf(h, "%d\n%s", len(d.variables[name]), d.variables[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// document reads the whole file. Sections are read in the order in which they
// need each other; diagnostics are sorted afterwards.
func (d *decoder) document(cfg *Config, root value) {
	o, ok := root.object("version", "server", "accounts", "tokens", "identity_key", "issuers", "parameters", "limits", "audit", "store", "rules", "tests")
	if !ok {
		return
	}
	if v := o.need("version"); v.isSet() && (v.literal() != "1" || v.node.Tag != "!!int") {
		v.fault("unknown-version", "this program reads version 1", "write version: 1")
	}
	cfg.Server = d.server(o.get("server"))
	cfg.Accounts = d.accounts(o.need("accounts"))
	cfg.Tokens = d.tokens(o.get("tokens"))
	identityKey := d.identityKey(o.get("identity_key"))
	specs := d.issuers(o.need("issuers"), cfg)
	parameters := d.parameters(o.get("parameters"))
	cfg.Limits = d.limits(o.get("limits"))
	cfg.Audit = d.audit(o.get("audit"), parameters, &cfg.NotYet)
	cfg.Store = d.store(o.get("store"))
	d.lintStore(cfg, specs)

	spec := &rules.Spec{
		Issuers:          specs,
		Parameters:       parameters,
		TTL:              cfg.Tokens.TTL,
		MaxTTL:           cfg.Tokens.MaxTTL,
		NotBeyondIDToken: cfg.Tokens.NotBeyondIDToken,
		Rules:            d.rules(o.need("rules")),
	}
	if identityKey.IsSet() {
		spec.Pseudonym = func(issuer, s string) string { return rules.Pseudonym([]byte(identityKey.Reveal()), issuer, s) }
	}
	for _, a := range cfg.Accounts {
		spec.Accounts = append(spec.Accounts, rules.AccountSpec{Name: a.Name, Region: a.Region})
	}
	spec.Audited, spec.Partial = cfg.Audit.Claims, d.faulty()
	set, faults := rules.Compile(spec)
	for _, f := range faults {
		d.fault(f)
	}
	cfg.Rules = set
	var issuers []string
	for _, is := range specs {
		issuers = append(issuers, is.Name)
	}
	for _, p := range parameters {
		cfg.Parameters = append(cfg.Parameters, p.Name)
	}
	cfg.Cases = d.cases(o.get("tests"), issuers, cfg.Parameters)
	if set != nil && !d.options.SkipTests && !d.faulty() {
		d.runCases(set, cfg.Cases)
	}
}

// faulty reports whether anything was found that is not a warning.
func (d *decoder) faulty() bool {
	return slices.ContainsFunc(d.found, func(f Diagnostic) bool { return !f.Warning })
}

// notYet notes a key that is valid and has no machinery behind it.
func (v value) notYet(to *Diagnostics) {
	found := v.d.found
	v.d.found = nil
	v.fault("not-available", v.path+" is not available in this version", "leave it out, or off, until it is")
	*to = append(*to, v.d.found...)
	v.d.found = found
}

func (d *decoder) tokens(v value) Tokens {
	const longest = 24*time.Hour - time.Second // Twilio refuses what lives a day
	t := Tokens{TTL: time.Hour, MaxTTL: longest}
	o, ok := v.object("ttl", "max_ttl", "not_beyond_id_token")
	if !ok {
		return t
	}
	t.MaxTTL = d.ttl(o.get("max_ttl"), longest, longest)
	t.TTL = d.ttl(o.get("ttl"), min(t.TTL, t.MaxTTL), t.MaxTTL)
	t.NotBeyondIDToken = o.get("not_beyond_id_token").boolean(false)
	return t
}

// ttl reads a token's lifetime: at least a second, at most most.
func (d *decoder) ttl(v value, def, most time.Duration) time.Duration {
	if !v.isSet() {
		return def
	}
	t := v.duration(-1)
	switch {
	case t < 0: // no duration
		return def
	case t < time.Second:
		v.fault("invalid-duration", "a token lives for at least a second", "")
	case t > most:
		v.fault("ttl-too-long", fmt.Sprintf("this is longer than %s", most), "Twilio takes less than 24h, and tokens.max_ttl may say less")
	}
	return t
}

func (d *decoder) identityKey(v value) Secret {
	key := v.secret(strings.Repeat("placeholder", 3))
	if key.IsSet() && len(key.Reveal()) < 32 {
		v.fault("short-key", "identity_key has fewer than 32 bytes", "make one: head -c 32 /dev/urandom | base64 > identity.key")
	}
	return key
}

func (d *decoder) parameters(v value) []rules.ParameterSpec {
	o, ok := v.object()
	if !ok {
		return nil
	}
	var out []rules.ParameterSpec
	for _, name := range o.keys {
		m := o.get(name)
		p := rules.ParameterSpec{Path: m.path, Name: name}
		if po, ok := m.object("pattern", "enum", "default"); ok {
			p.Pattern = po.get("pattern").text()
			p.Enum = po.get("enum").texts()
			def := po.get("default")
			p.Default, p.HasDefault = def.text(), def.isSet()
		}
		out = append(out, p)
	}
	return out
}

func (d *decoder) limits(v value) Limits {
	l := Limits{PerIP: Rate{20, time.Second}, PerSubject: Rate{60, time.Minute}, FailuresPerIP: Rate{30, time.Minute}}
	o, ok := v.object("per_ip", "per_subject", "failures_per_ip")
	if !ok {
		return l
	}
	l.PerIP = d.rate(o.get("per_ip"), l.PerIP)
	l.PerSubject = d.rate(o.get("per_subject"), l.PerSubject)
	l.FailuresPerIP = d.rate(o.get("failures_per_ip"), l.FailuresPerIP)
	return l
}

// rate reads N/s, N/m, N/h or off.
func (d *decoder) rate(v value, def Rate) Rate {
	s := v.literal()
	if !v.isSet() || s == "off" {
		if v.isSet() {
			return Rate{}
		}
		return def
	}
	var r Rate
	var unit string
	if _, err := fmt.Sscanf(s, "%d/%1s", &r.Count, &unit); err == nil && r.Count > 0 && fmt.Sprintf("%d/%s", r.Count, unit) == s {
		switch unit {
		case "s":
			r.Per = time.Second
		case "m":
			r.Per = time.Minute
		case "h":
			r.Per = time.Hour
		}
	}
	if r.Per == 0 {
		v.fault("invalid-rate", fmt.Sprintf("%q is not a rate", s), "write 20/s, 60/m, 100/h or off")
		return def
	}
	return r
}

func (d *decoder) audit(v value, parameters []rules.ParameterSpec, notYet *Diagnostics) Audit {
	a := Audit{File: "-", OnFailure: "refuse"}
	o, ok := v.object("file", "key", "claims", "subjects", "on_failure")
	if !ok {
		return a
	}
	if file := o.get("file"); file.isSet() {
		if a.File = file.text(); a.File != "-" {
			file.notYet(notYet)
		}
	}
	a.Key = o.get("key").secret("placeholder")
	for _, item := range o.get("claims").list() {
		name := item.word()
		if parameter, ok := strings.CutPrefix(name, "request."); ok && !slices.ContainsFunc(parameters, func(p rules.ParameterSpec) bool { return p.Name == parameter }) {
			item.faultf("unknown-parameter", "no parameter is named %q", parameter)
		}
		a.Claims = append(a.Claims, name)
	}
	a.Plain = d.oneOf(o.get("subjects"), "hashed", "plain") == "plain"
	a.OnFailure = d.oneOf(o.get("on_failure"), "refuse", "drop")
	if a.OnFailure != "refuse" {
		o.get("on_failure").notYet(notYet)
	}
	return a
}

func (d *decoder) store(v value) Store {
	s := Store{OnFailure: "refuse"}
	o, ok := v.object("redis")
	if !ok {
		return s
	}
	redis, ok := o.need("redis").object("url", "on_failure")
	if !ok {
		return s
	}
	url, onFailure := redis.need("url"), redis.get("on_failure")
	s.RedisURL = url.password("redis://localhost:6379")
	if s.RedisURL.IsSet() {
		if _, err := ParseRedisURL(s.RedisURL.Reveal()); err != nil {
			url.fault("invalid-url", "this is not the URL of a Redis server: "+err.Error(), "write rediss://user:password@host:6379; config/README.md has those of sentinels and clusters")
		}
	}
	if s.OnFailure = d.oneOf(onFailure, "refuse", "insecure_allow"); s.OnFailure == "insecure_allow" {
		onFailure.warn("insecure", "while Redis does not answer, tokens that were used up and sessions that have ended are let in", "leave on_failure out")
	}
	return s
}

// oneOf returns one of a few words; the first is the default.
func (d *decoder) oneOf(v value, words ...string) string {
	if !v.isSet() {
		return words[0]
	}
	s := v.text()
	if s != "" && !slices.Contains(words, s) {
		v.fault("unknown-value", fmt.Sprintf("%q has no meaning here", s), didYouMean(s, words, "write "+strings.Join(words, " or ")))
		return words[0]
	}
	return s
}
