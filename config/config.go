package config

import (
	"crypto/x509"
	"net/netip"
	"time"

	"twilio-sts/config/rules"
)

// A Config is a loaded configuration. It is immutable.
type Config struct {
	Server   Server
	Accounts []Account // the first is the default
	Tokens   Tokens
	Issuers  []Issuer
	Limits   Limits
	Audit    Audit
	Store    Store
	Rules    *rules.Set
	// Parameters are the names of those that a client may send.
	Parameters []string
	Cases      []rules.Case // tests:, all of which pass
	Warnings   Diagnostics
	// NotYet has a diagnostic for each key that is set, valid, and has no
	// machinery behind it in this version. Serving such a configuration would
	// promise what is not done.
	NotYet Diagnostics
	// Hash identifies the configuration: hex SHA-256 of the file's content and
	// that of each file and variable it names. Other bytes, another hash, even
	// where they mean the same.
	Hash string

	fixed Diagnostics // the places of what NeedsRestart is about
}

// Server is the server section.
type Server struct {
	Listen            string // host:port
	AdminListen       string // host:port; "" turns the admin listener off
	AdminToken        Secret
	PublicURL         string // without a trailing slash; "" when not set
	AllowedOrigins    []string
	InsecureAnyOrigin bool // AllowedOrigins is ["*"]
	TrustedProxies    []netip.Prefix
	TLS               *TLS // nil: plain HTTP
}

// TLS names a certificate and its key, both PEM; paths are absolute or
// relative to the working directory.
type TLS struct{ CertFile, KeyFile string }

// An Account holds the credentials of one Twilio account.
type Account struct {
	Name         string
	AccountSID   string // AC…
	APIKeySID    string // SK…
	APIKeySecret Secret
	Region       string // us1, ie1, au1
}

// Tokens is the tokens section.
type Tokens struct {
	TTL, MaxTTL      time.Duration
	NotBeyondIDToken bool
}

// An Issuer is one identity provider whose ID tokens are taken.
type Issuer struct {
	Name       string
	URL        string   // as configured, byte for byte; may hold {tenantid}
	Provider   string   // a preset's name, or ""
	Tenants    []string // Entra tenants, where URL holds {tenantid}
	Algorithms []string
	Policy     rules.Policy
	MaxUses    int
	JWKSURI    string         // "": found by discovery
	JWKS       []byte         // content of jwks_file; nil: keys come over the network
	RootCAs    *x509.CertPool // nil: the system's
	// AllowedOrigins narrows Server.AllowedOrigins for this issuer's tokens;
	// nil does not.
	AllowedOrigins    []string
	BackchannelLogout bool
	WaitForKeys       bool
}

// A Rate is so many events per period; the zero Rate is off.
type Rate struct {
	Count int
	Per   time.Duration // time.Second, time.Minute or time.Hour
}

// Limits is the limits section.
type Limits struct{ PerIP, PerSubject, FailuresPerIP Rate }

// Audit is the audit section.
type Audit struct {
	File      string   // "-" is standard output
	Key       Secret   // for the subject hash; not set: random at each start
	Claims    []string // claim names, and request.NAME
	Plain     bool     // identity and subject are written as they are
	OnFailure string   // refuse, drop
}

// Store is the store section; the zero Store is in memory.
type Store struct {
	RedisURL  Secret
	OnFailure string // refuse, insecure_allow
}

// Options say how to load.
type Options struct {
	// Getenv looks up {env: NAME}. Nil means that every variable is unset.
	Getenv func(name string) (value string, ok bool)
	// ReadFile reads a file; nil means os.ReadFile.
	ReadFile func(path string) ([]byte, error)
	// NoSecrets puts placeholders where accounts, identity_key, audit.key,
	// admin_token or store name a variable or file that is missing.
	NoSecrets bool
	// IssuerURL, when set, replaces each issuer's URL by the one it returns,
	// and discovery and RS256 keys with it: the development provider plays
	// every issuer. The provider's preset keeps its claim rules. No file of an
	// issuer and no secret is read.
	IssuerURL func(name string) string
	// SkipTests loads a configuration whose tests fail, for the test command,
	// which reports them itself.
	SkipTests bool
}

// Issuer returns the issuer with the given name, or nil.
func (c *Config) Issuer(name string) *Issuer {
	for i := range c.Issuers {
		if c.Issuers[i].Name == name {
			return &c.Issuers[i]
		}
	}
	return nil
}
