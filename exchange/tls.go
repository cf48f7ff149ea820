package exchange

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"twilio-sts/config"
)

// certCheckEvery is how often at most the files of a certificate are looked at.
const certCheckEvery = time.Second

// A certificate is read from its files again when they change, so that renewing
// it needs no restart.
type certificate struct {
	files func() *config.TLS
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	checked time.Time
	version [2]fileVersion
	current *tls.Certificate
}

// A fileVersion is a file as it was last modified.
type fileVersion struct {
	path     string
	modified time.Time
}

// newTLSConfig returns a configuration with the certificate in files, which may
// return others later.
func newTLSConfig(files func() *config.TLS, now func() time.Time, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{files: files, now: now, log: log}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: c.get,
	}, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certCheckEvery {
		c.checked = now
		if err := c.reload(); err != nil {
			c.log.Warn("certificate not reloaded; the one before stays in use", "error", err)
		}
	}
	return c.current, nil
}

// reload reads the files if they changed. A pair that is half written does not
// load and is tried again at the next look.
func (c *certificate) reload() error {
	files := c.files()
	var version [2]fileVersion
	for i, file := range []string{files.CertFile, files.KeyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("looking at the certificate: %w", err)
		}
		version[i] = fileVersion{file, info.ModTime()}
	}
	if c.current != nil && version == c.version {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return fmt.Errorf("loading the certificate: %w", err)
	}
	c.current, c.version = &pair, version
	return nil
}
