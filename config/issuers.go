package config

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"twilio-sts/config/rules"
)

// maxSkew bounds clock_skew: a clock that is further off is to be mended.
const maxSkew = 5 * time.Minute

var tenantShape = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// issuers reads the issuers into cfg and returns what the rules need of them.
func (d *decoder) issuers(v value, cfg *Config) []rules.IssuerSpec {
	var specs []rules.IssuerSpec
	taken := map[string]string{} // iss → name
	for _, item := range v.list() {
		is, spec, ok := d.issuer(item, &cfg.Server)
		if !ok {
			continue
		}
		for _, id := range is.Policy.IssuerIDs {
			if other, ok := taken[id]; ok {
				d.at(d.nearest(item.path+".issuer"), Diagnostic{Path: item.path + ".issuer", ID: "duplicate-issuer",
					Message: fmt.Sprintf("issuer %q has the same URL", other), Hint: "list all audiences under one issuer"})
				break
			}
			taken[id] = is.Name
		}
		cfg.Issuers = append(cfg.Issuers, is)
		specs = append(specs, spec)
	}
	if v.isEmpty() {
		v.fault("missing-value", "there is no issuer", "")
	}
	return specs
}

func (d *decoder) issuer(v value, server *Server) (Issuer, rules.IssuerSpec, bool) {
	o, ok := v.object("name", "issuer", "provider", "tenants", "audiences", "trusted_audiences", "algorithms", "allowed_azp",
		"clock_skew", "max_token_age", "max_lifetime", "max_uses", "jwks_uri", "jwks_file", "ca_file", "allowed_origins",
		"backchannel_logout", "wait_for_keys", "claims", "require", "identity", "insecure_identity")
	if !ok {
		return Issuer{}, rules.IssuerSpec{}, false
	}
	is := Issuer{Name: d.name(o.need("name"))}
	preset := d.provider(o.get("provider"))
	is.Provider = preset.name
	d.issuerURL(&is, o, preset)
	d.policy(&is.Policy, o, preset)
	is.Algorithms = d.issuerAlgorithms(o.get("algorithms"), preset)
	d.keys(&is, o)
	is.AllowedOrigins = d.origins(o.get("allowed_origins"))
	for i, origin := range is.AllowedOrigins {
		path := fmt.Sprintf("%s.allowed_origins[%d]", v.path, i)
		switch {
		case origin == "*":
			d.at(d.nearest(path), Diagnostic{Path: path, ID: "any-origin", Message: `"*" narrows nothing`, Hint: "leave allowed_origins out of the issuer"})
		case !server.InsecureAnyOrigin && !slices.Contains(server.AllowedOrigins, origin):
			d.at(d.nearest(path), Diagnostic{Path: path, ID: "unknown-origin", Message: fmt.Sprintf("server.allowed_origins does not list %q", origin), Hint: "an issuer's origins narrow the server's"})
		}
	}
	is.MaxUses = o.get("max_uses").integer(0)
	is.BackchannelLogout = o.get("backchannel_logout").boolean(false)
	is.WaitForKeys = o.get("wait_for_keys").boolean(true)

	spec := rules.IssuerSpec{Path: v.path, Name: is.Name, Policy: is.Policy, Identity: o.get("identity").template(),
		Claims: preset.types, Persons: preset.persons(&is), InsecureIdentity: o.get("insecure_identity").text() != ""}
	spec.Editable, spec.Crowds = editable(&is), crowds(&is, v.path)
	if claims, ok := o.get("claims").object(); ok {
		for _, name := range claims.keys {
			m := claims.get(name)
			spec.Claims = append(spec.Claims, rules.ClaimSpec{Path: m.path, Name: name, Type: m.text()})
		}
	}
	for _, item := range o.get("require").list() {
		spec.Require = append(spec.Require, rules.Text{Path: item.path, Source: item.literal()})
	}
	return is, spec, true
}

// issuerURL reads the issuer's URL, byte for byte, and the values of iss that
// go with it.
func (d *decoder) issuerURL(is *Issuer, o object, p preset) {
	v := o.need("issuer")
	is.URL = v.text()
	u, err := url.Parse(is.URL)
	if is.URL != "" && (err != nil || !IsSecure(u) || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(is.URL, "#") || u.User != nil) {
		hint := "copy issuer from the provider's /.well-known/openid-configuration; it is https, without query and fragment"
		if full, err := url.Parse("https://" + is.URL); err == nil && !strings.Contains(is.URL, "//") { // accounts.google.com
			if form := formOf(full, p.name); form != nil && form.fits(full) {
				hint = "write " + full.String()
			}
		}
		v.fault("invalid-url", fmt.Sprintf("%q is not an issuer's URL", is.URL), hint)
	} else if is.URL != "" && !isLoopback(u.Hostname()) {
		d.issuerForm(v, is.URL, u, o, p)
	}
	is.Policy.IssuerIDs, is.Policy.Aliases = []string{is.URL}, p.aliases
	for _, alias := range p.aliases {
		if alias != is.URL { // which is a fault
			is.Policy.IssuerIDs = append(is.Policy.IssuerIDs, alias)
		}
	}
	const template = "{tenantid}"
	tenants := o.get("tenants")
	for _, item := range tenants.list() {
		tenant := item.text()
		if tenant != "" && !tenantShape.MatchString(tenant) {
			item.fault("invalid-tenant", fmt.Sprintf("%q is not a tenant's id", tenant), "write the directory's GUID in lower case")
		}
		is.Tenants = append(is.Tenants, tenant)
	}
	switch multi := strings.Contains(is.URL, template); {
	case d.options.IssuerURL != nil:
		is.URL, is.Tenants = d.options.IssuerURL(is.Name), nil
		is.Policy.IssuerIDs, is.Policy.Aliases = []string{is.URL}, nil
	case multi && len(is.Tenants) == 0:
		v.fault("missing-tenants", "{tenantid} stands for the tenants listed under tenants, and there are none", "add tenants: [GUID, …]")
	case !multi && len(is.Tenants) > 0:
		tenants.fault("useless-tenants", "tenants goes with {tenantid} in issuer", "")
	case multi:
		is.Policy.IssuerIDs, is.Policy.Aliases = nil, nil
		for _, tenant := range is.Tenants {
			is.Policy.IssuerIDs = append(is.Policy.IssuerIDs, strings.ReplaceAll(is.URL, template, tenant))
		}
	case p.sharedIssuer(is.URL):
		v.fault("shared-issuer", "this issuer is every tenant's", "write {tenantid} in its place and list the tenants")
	}
}

// metadataPath is where an issuer's metadata is, which is not its issuer.
const metadataPath = "/.well-known/openid-configuration"

// issuerForm faults an issuer that no token of its provider can have, and warns
// where the provider is known and not named.
func (d *decoder) issuerForm(v value, text string, u *url.URL, o object, p preset) {
	form := formOf(u, p.name)
	base, isMetadata := strings.CutSuffix(strings.TrimSuffix(text, "/"), metadataPath)
	if !isMetadata {
		base = text
	}
	switch {
	case p.sharedIssuer(text): // said by the caller
	case form != nil && !form.fits(u):
		hint := "they are written " + form.written
		for _, near := range []string{base, base + "/", strings.TrimRight(base, "/")} {
			if other, err := url.Parse(near); near != text && err == nil && form.fits(other) {
				hint = "write " + near
			}
		}
		v.fault("invalid-url", fmt.Sprintf("no issuer of provider %s is written like this", form.provider), hint)
	case isMetadata:
		v.fault("invalid-url", "this is where the provider's metadata is, and not its issuer",
			fmt.Sprintf("write issuer as it stands there: %s, or %[1]s/", base))
	case form != nil && !o.get("provider").isSet() && protects(form.provider):
		v.warn("no-provider", fmt.Sprintf("this is an issuer of %s, and what its preset demands is not demanded", form.provider), "write provider: "+form.provider)
	}
}

// protects reports whether a preset demands something, of which nothing else
// warns: what Google's and GitLab's demand, workload-issuer is about.
func protects(provider string) bool {
	return slices.ContainsFunc(presets(), func(p preset) bool {
		return p.name == provider && p.name != "google" && p.name != "gitlab" && len(p.required)+len(p.forbidden) > 0
	})
}

func (d *decoder) policy(p *rules.Policy, o object, preset preset) {
	audiences := o.need("audiences")
	p.Audiences = audiences.texts()
	if audiences.isEmpty() {
		audiences.fault("missing-value", "there is no audience", "list the client ids of your apps")
	}
	p.TrustedAudiences = o.get("trusted_audiences").texts()
	p.AllowedAZP = p.Audiences
	if azp := o.get("allowed_azp"); azp.isSet() {
		p.AllowedAZP = azp.texts()
	}
	p.ClockSkew = o.get("clock_skew").duration(time.Minute)
	if p.ClockSkew > maxSkew {
		o.get("clock_skew").fault("skew-too-long", "clock_skew is more than 5m", "set the clocks right")
	}
	p.MaxTokenAge = o.get("max_token_age").duration(0)
	p.MaxLifetime = o.get("max_lifetime").duration(24 * time.Hour)
	for _, key := range []string{"max_token_age", "max_lifetime"} {
		if m := o.get(key); m.isSet() && m.literal() != "" && m.duration(1) == 0 {
			m.fault("invalid-duration", key+" is more than 0", "")
		}
	}
	p.Required, p.Forbidden, p.StandIns, p.AccessToken = preset.required, preset.forbidden, preset.standIns, preset.accessToken
	if d.options.IssuerURL == nil {
		p.TenantClaim = preset.tenantClaim
	}
}

func (d *decoder) issuerAlgorithms(v value, p preset) []string {
	switch {
	case d.options.IssuerURL != nil:
		return []string{"RS256"}
	case !v.isSet() && p.algorithms != nil:
		return p.algorithms
	case !v.isSet():
		return []string{"RS256"}
	}
	var out []string
	for _, item := range v.list() {
		s := item.text()
		switch {
		case s == "": // a fault already
		case strings.HasPrefix(s, "HS") || strings.EqualFold(s, "none"):
			item.fault("unsafe-algorithm", fmt.Sprintf("%s is never accepted: anybody who can check such a token can make one", s), "RS256 is what most providers use")
		case !slices.Contains(algorithms(), s):
			item.fault("unknown-algorithm", fmt.Sprintf("%q is not an algorithm here", s), "there are "+strings.Join(algorithms(), ", "))
		}
		out = append(out, s)
	}
	if v.isEmpty() {
		v.fault("missing-value", "there is no algorithm", "leave it out for RS256")
	}
	return out
}

// keys reads where the issuer's keys come from.
func (d *decoder) keys(is *Issuer, o object) {
	uri, file, ca := o.get("jwks_uri"), o.get("jwks_file"), o.get("ca_file")
	if uri.isSet() && file.isSet() {
		file.fault("two-key-sets", "keys come from jwks_uri or from jwks_file, not from both", "")
	}
	if is.JWKSURI = uri.text(); is.JWKSURI != "" {
		if u, err := url.Parse(is.JWKSURI); err != nil || !IsSecure(u) || u.Fragment != "" || u.User != nil {
			uri.fault("invalid-url", fmt.Sprintf("%q is not a URL of keys", is.JWKSURI), "it is https")
		}
	}
	if d.options.IssuerURL != nil {
		is.JWKSURI = ""
		return
	}
	if file.isSet() {
		data, err := d.file(file.text())
		switch {
		case err != nil:
			file.faultf("unreadable-file", "%s", fileError(err))
		case len(data) == 0:
			file.fault("unreadable-file", "the file is empty", "")
		}
		is.JWKS = data
	}
	if ca.isSet() {
		data, err := d.file(ca.text())
		if err != nil {
			ca.faultf("unreadable-file", "%s", fileError(err))
			return
		}
		is.RootCAs = x509.NewCertPool()
		if !is.RootCAs.AppendCertsFromPEM(data) {
			ca.fault("invalid-certificate", "the file has no certificate in PEM", "")
		}
	}
}

func (d *decoder) provider(v value) preset {
	if !v.isSet() {
		return preset{}
	}
	name := v.text()
	presets := presets()
	names := make([]string, len(presets))
	for i, p := range presets {
		if names[i] = p.name; p.name == name {
			return p
		}
	}
	if name != "" {
		v.fault("unknown-provider", fmt.Sprintf("%q is not a provider here", name), didYouMean(name, names, "there are "+strings.Join(names, ", ")))
	}
	return preset{}
}
