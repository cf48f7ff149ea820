package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (d *decoder) server(v value) Server {
	s := Server{Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081"}
	o, ok := v.object("listen", "admin_listen", "admin_token", "public_url", "allowed_origins", "insecure_any_origin", "trusted_proxies", "tls")
	if !ok {
		return s
	}
	if m := o.get("listen"); m.isSet() {
		s.Listen = d.address(m)
	}
	if m := o.get("admin_listen"); m.isSet() {
		if s.AdminListen = ""; !m.isBlank() {
			s.AdminListen = d.address(m)
		}
	}
	s.AdminToken = d.adminToken(o.get("admin_token"))
	s.PublicURL = d.publicURL(o.get("public_url"))
	s.InsecureAnyOrigin = o.get("insecure_any_origin").boolean(false)
	s.AllowedOrigins = d.origins(o.get("allowed_origins"))
	anyOrigin := slices.Contains(s.AllowedOrigins, "*")
	switch {
	case anyOrigin && !s.InsecureAnyOrigin:
		o.get("allowed_origins").fault("any-origin", `"*" lets every page on the web ask for tokens`, "list the origins, or set insecure_any_origin: true as well")
	case s.InsecureAnyOrigin && !anyOrigin:
		o.get("insecure_any_origin").fault("any-origin", `insecure_any_origin goes with allowed_origins: ["*"]`, "")
	case s.InsecureAnyOrigin:
		o.get("insecure_any_origin").warn("insecure", "every page on the web may ask for tokens", "list the origins")
	}
	for _, item := range o.get("trusted_proxies").list() {
		text := item.text()
		if prefix, ok := parsePrefix(text); ok {
			s.TrustedProxies = append(s.TrustedProxies, prefix)
		} else if text != "" {
			item.fault("invalid-address", fmt.Sprintf("%q is not an IP address or a range of them", text), "write 10.0.0.0/8")
		}
	}
	s.TLS = d.tls(o.get("tls"))
	return s
}

// adminToken reads a token that operators send as a bearer token.
func (d *decoder) adminToken(v value) Secret {
	const hint = "make one: openssl rand -hex 32 > admin.token"
	token := v.password(strings.Repeat("placeholder", 2))
	unsendable := func(r rune) bool { return r <= ' ' || r > '~' }
	switch s := token.Reveal(); {
	case strings.ContainsFunc(s, unsendable):
		v.fault("invalid-token", "the token has characters that cannot be sent in a header", hint)
	case token.IsSet() && len(s) < 16:
		v.warn("short-token", "the token has fewer than 16 characters, and may be guessed", hint)
	}
	return token
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	return netip.PrefixFrom(a, a.BitLen()), err == nil && a.Zone() == ""
}

func (d *decoder) address(v value) string {
	s := v.text()
	_, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); s != "" && (err != nil || perr != nil || n > 65535) {
		v.fault("invalid-address", fmt.Sprintf("%q is not host:port", s), "write 127.0.0.1:8080, or :8080 for every interface")
	}
	return s
}

func (d *decoder) publicURL(v value) string {
	s := v.text()
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || !IsSecure(u) || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || strings.HasSuffix(s, "/") {
		v.fault("invalid-url", fmt.Sprintf("%q is not the public URL of a service", s), "write https://token.example.com, without a slash at the end")
	}
	return s
}

// IsSecure reports whether u is https, or http on loopback.
func IsSecure(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()))
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// An origin as browsers write it (RFC 6454 §6.2), a mobile web view's own
// scheme included: no path, no slash at the end, a host in lower case.
var originShape = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?$`)

func (d *decoder) origins(v value) []string {
	if !v.isSet() {
		return nil
	}
	origins := []string{}
	for _, item := range v.list() {
		s := item.text()
		switch {
		case s == "": // a fault already
		case s == "null":
			item.fault("invalid-origin", "null is the origin of every sandboxed page", "name the origin itself")
		case s == "*":
		case !originShape.MatchString(s):
			item.fault("invalid-origin", fmt.Sprintf("%q is not an origin", s), "write scheme://host or scheme://host:port, without a slash at the end")
		case strings.HasPrefix(s, "https://") && strings.HasSuffix(s, ":443"), strings.HasPrefix(s, "http://") && strings.HasSuffix(s, ":80"):
			item.fault("invalid-origin", "browsers leave the usual port out of an origin", "write "+s[:strings.LastIndexByte(s, ':')])
		}
		origins = append(origins, s)
	}
	return origins
}

func (d *decoder) tls(v value) *TLS {
	o, ok := v.object("cert_file", "key_file")
	if !ok {
		return nil
	}
	cert, key := o.need("cert_file"), o.need("key_file")
	files := &TLS{CertFile: d.resolvePath(cert.text()), KeyFile: d.resolvePath(key.text())}
	if files.CertFile == "" || files.KeyFile == "" || d.options.IssuerURL != nil {
		return files
	}
	certPEM, err := d.file(cert.text())
	if err != nil {
		cert.faultf("unreadable-file", "%s", fileError(err))
		return files
	}
	keyPEM, err := d.file(key.text())
	if err != nil {
		key.faultf("unreadable-file", "%s", fileError(err))
		return files
	}
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
		v.fault("invalid-certificate", "the certificate and its key do not go together: "+strings.TrimPrefix(err.Error(), "tls: "), "")
	}
	return files
}

var (
	nameShape      = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	authTokenShape = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// name reads the name of an account or an issuer.
func (d *decoder) name(v value) string {
	s := v.word()
	if s != "" && !nameShape.MatchString(s) {
		v.fault("invalid-name", fmt.Sprintf("%q is no name here", s), "use lower-case letters, digits and -, a letter first")
	}
	return s
}

func (d *decoder) accounts(v value) []Account {
	var accounts []Account
	seen := map[string]bool{}
	for _, item := range v.list() {
		o, ok := item.object("name", "account_sid", "api_key_sid", "api_key_secret", "region")
		if !ok {
			continue
		}
		name := o.need("name")
		a := Account{
			Name:         d.name(name),
			AccountSID:   d.sid(o.need("account_sid"), "AC"),
			APIKeySID:    d.sid(o.need("api_key_sid"), "SK"),
			APIKeySecret: o.need("api_key_secret").password("placeholder"),
			Region:       d.oneOf(o.get("region"), "us1", "ie1", "au1"),
		}
		if seen[a.Name] && a.Name != "" {
			name.faultf("duplicate-name", "another account is named %q", a.Name)
		}
		seen[a.Name] = true
		secret := o.get("api_key_secret")
		if authTokenShape.MatchString(a.APIKeySecret.Reveal()) {
			secret.fault("auth-token", "this looks like an account's Auth Token, and an API key's secret is wanted",
				"create an API key in the Twilio console; its secret has upper-case letters too")
		}
		accounts = append(accounts, a)
	}
	if v.isEmpty() {
		v.fault("missing-value", "there is no account", "")
	}
	return accounts
}

// sid reads a SID of the given kind.
func (d *decoder) sid(v value, kind string) string {
	s := v.credential(kind + strings.Repeat("0", 32))
	if s != "" && !regexp.MustCompile(`^`+kind+`[0-9a-fA-F]{32}$`).MatchString(s) {
		hint := fmt.Sprintf("a SID of this kind is %s and 32 hex digits", kind)
		if len(s) > 1 && s[:2] == "SK" && kind == "AC" || len(s) > 1 && s[:2] == "AC" && kind == "SK" {
			hint = "the account's SID begins with AC, the API key's with SK"
		}
		v.fault("invalid-sid", "this is not a SID of kind "+kind, hint)
	}
	return s
}
