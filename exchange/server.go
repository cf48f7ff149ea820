package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

// Limits of the HTTP server. The token endpoint answers from memory, so what
// takes longer than these is broken or hostile.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 20 * time.Second
	idleTimeout       = 2 * time.Minute
	drainTimeout      = 25 * time.Second
	// A bearer token of 16 KiB, and what proxies add. What is larger, or is no
	// HTTP, net/http refuses itself (431, 400) before any handler: as plain text,
	// and it has no hook by which that could be JSON like every other answer. It
	// closes the connection, and no cache keeps these (RFC 9110 §15.1).
	maxHeaderBytes = 64 << 10
)

// Handler serves the public endpoints.
func (s *Service) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.current.Load().public.ServeHTTP(w, r) })
}

func (s *snapshot) publicHandler() http.Handler {
	e := s.newEcho()
	e.Use(noStore, cors(&s.cfg.Server))
	e.POST("/token", s.token)
	e.OPTIONS("/token", preflight(&s.cfg.Server))
	e.RouteNotFound("/token", s.token) // every other method, known to echo or not
	for i := range s.cfg.Issuers {
		if issuer := &s.cfg.Issuers[i]; issuer.BackchannelLogout {
			e.POST(logoutPath+issuer.Name, s.backchannelLogout(issuer))
			e.RouteNotFound(logoutPath+issuer.Name, s.backchannelLogout(issuer)) // every other method
		}
	}
	e.Match(get, "/healthz", alive)
	e.Match(get, "/readyz", s.readyz)
	if s.cfg.Server.PublicURL != "" {
		for _, path := range metadataPaths(s.cfg.Server.PublicURL) {
			e.Match(get, path, s.metadata, openCORS)
		}
	}
	return e
}

// AdminHandler serves the endpoints for operators.
func (s *Service) AdminHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.current.Load().admin.ServeHTTP(w, r) })
}

func (s *snapshot) adminHandler() http.Handler {
	e := s.newEcho()
	e.Use(noStore)
	e.Match(get, "/healthz", alive)
	e.Match(get, "/readyz", s.readyzByIssuer)
	operators := operatorsOnly(s.cfg.Server.AdminToken)
	e.Match(get, "/decisions", s.listDecisions, operators)
	e.Match(get, "/decisions/:trace_id", s.decisionByTraceID, operators)
	return e
}

var get = []string{http.MethodGet, http.MethodHead}

func (s *snapshot) newEcho() *echo.Echo {
	e := echo.New()
	e.IPExtractor = clientAddress(s.cfg.Server.TrustedProxies)
	e.HTTPErrorHandler = s.answerError
	e.Use(traced, middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisableStackAll: true, // of the other goroutines
		LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
			s.log.Error("panic", "error", err, "stack", string(stack), "trace_id", contextTraceID(c))
			return errors.New("panic")
		},
	}))
	return e
}

// token answers POST /token. What is wrong is answered in a fixed order, so
// that a request with several faults has one answer.
func (s *snapshot) token(c echo.Context) error {
	req, err := s.readRequest(c)
	if err != nil {
		s.noteEarly(&Request{Address: c.RealIP(), TraceID: contextTraceID(c)}, err)
		return err
	}
	answer, err := s.exchange(c.Request().Context(), req)
	if err != nil {
		s.limits.failed(c.Request().Context(), req.Address, err)
		return err
	}
	return c.JSON(http.StatusOK, answer)
}

// readRequest reads a request to /token up to its token.
func (s *snapshot) readRequest(c echo.Context) (*Request, error) {
	r := c.Request()
	mediaType, body, err := readBody(c.Response(), r)
	if err != nil {
		return nil, err
	}
	if err := checkOrigin(&s.cfg.Server, r); err != nil {
		return nil, err
	}
	s.noteForwarded(r)
	if err := s.limits.address(r.Context(), c.RealIP()); err != nil {
		return nil, err
	}
	req, err := parseRequest(r, mediaType, body)
	if err != nil {
		return nil, err
	}
	req.Origin = requestOrigin(r)
	req.Address = c.RealIP()
	req.TraceID = contextTraceID(c)
	return req, nil
}

func checkOrigin(server *config.Server, r *http.Request) error {
	if origin := requestOrigin(r); origin != "" && !originListed(server, origin) {
		return rules.Refuse(rules.OriginNotAllowed, "the configuration does not list this origin")
	}
	return nil
}

// answerError is echo's error handler: every error, whoever returned it,
// leaves as the same JSON.
func (s *snapshot) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	var unrouted *echo.HTTPError
	if errors.As(err, &unrouted) {
		err = malformedWith(unrouted.Code, strings.ToLower(http.StatusText(unrouted.Code)))
	}
	status, body := answerTo(err, contextTraceID(c))
	if body.Reason == rules.Internal {
		s.log.Error("internal error", "error", err, "trace_id", body.TraceID)
	}
	if waits(status) {
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter(err)))
	}
	if err := c.JSON(status, body); err != nil {
		s.log.Debug("answer not delivered", "error", err, "trace_id", body.TraceID)
	}
}

const traceIDKey = "trace_id"

func traced(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set(traceIDKey, traceID(c.Request().Header))
		c.Response().Header().Set("X-Content-Type-Options", "nosniff")
		return next(c)
	}
}

func contextTraceID(c echo.Context) string {
	id, _ := c.Get(traceIDKey).(string)
	return id
}

// noStore keeps tokens out of every cache, RFC 6749 §5.1.
func noStore(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Pragma", "no-cache")
		return next(c)
	}
}

// clientAddress returns the client's address: the peer's, or, when that is a
// trusted proxy, the right-most entry of X-Forwarded-For that is not one
// itself. echo's own extractor falls back to the left-most entry, which the
// client writes.
func clientAddress(trusted []netip.Prefix) echo.IPExtractor {
	return func(r *http.Request) string {
		peer, host := peerAddress(r)
		if !anyContains(trusted, peer) {
			return host
		}
		entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(entries) - 1; i >= 0; i-- {
			addr, err := netip.ParseAddr(strings.TrimSpace(entries[i]))
			if err != nil {
				return host
			}
			if addr = addr.Unmap().WithZone(""); !anyContains(trusted, addr) {
				return addr.String()
			}
		}
		return host
	}
}

// peerAddress returns who is at the other end of the connection; addr is the
// zero Addr when host, which is for logs, is no IP address.
func peerAddress(r *http.Request) (addr netip.Addr, host string) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, r.RemoteAddr
	}
	addr, _ = netip.ParseAddr(host)
	return addr.Unmap(), host
}

func anyContains(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// noteForwarded counts requests whose X-Forwarded-For is not believed, and
// warns of the first: behind a proxy that is not listed, all clients share the
// limits of one.
func (s *snapshot) noteForwarded(r *http.Request) {
	if r.Header["X-Forwarded-For"] == nil {
		return
	}
	peer, host := peerAddress(r)
	if !anyContains(s.cfg.Server.TrustedProxies, peer) && s.forwarded.Add(1) == 1 {
		s.log.Warn("X-Forwarded-For is not believed, because server.trusted_proxies does not list who sent it; if that is a proxy of yours, all its clients count as one", "peer", host)
	}
}

// metadataPaths returns where the metadata of an issuer is: RFC 8414 §3.1 puts
// the well-known part between host and path, and a proxy may have taken the
// path off.
func metadataPaths(publicURL string) []string {
	const wellKnown = "/.well-known/oauth-authorization-server"
	paths := []string{wellKnown}
	if u, err := url.Parse(publicURL); err == nil && u.Path != "" {
		paths = append(paths, wellKnown+u.Path)
	}
	return paths
}

// metadata is the authorization server metadata of RFC 8414 §2.
func (s *snapshot) metadata(c echo.Context) error {
	return c.JSON(http.StatusOK, struct {
		Issuer        string       `json:"issuer"`
		TokenEndpoint string       `json:"token_endpoint"`
		GrantTypes    []string     `json:"grant_types_supported"`
		AuthMethods   []string     `json:"token_endpoint_auth_methods_supported"`
		Scopes        []rules.Kind `json:"scopes_supported"`
	}{
		s.cfg.Server.PublicURL,
		s.cfg.Server.PublicURL + "/token",
		[]string{grantTypeTokenExchange},
		[]string{"none"},
		rules.Kinds[:],
	})
}

func alive(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "alive"})
}

// Serve serves public and, unless it is nil, admin until ctx ends, and then
// finishes what is in flight. It closes both listeners, and s.
func (s *Service) Serve(ctx context.Context, public, admin net.Listener) error {
	defer s.Close()
	keys, stopKeys := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeys()
	s.Start(keys)

	servers := []*http.Server{s.newServer(s.Handler())}
	listeners := []net.Listener{public}
	if admin != nil {
		servers = append(servers, s.newServer(s.AdminHandler()))
		listeners = append(listeners, admin)
	}
	if s.current.Load().cfg.Server.TLS != nil {
		tlsConfig, err := newTLSConfig(s.tlsFiles, s.now, s.log)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return err
		}
		servers[0].TLSConfig = tlsConfig
	}
	failed := make(chan error, len(servers))
	for i, server := range servers {
		go func() { failed <- serve(server, listeners[i]) }()
	}

	serving := len(servers)
	var err error
	select {
	case err = <-failed:
		serving--
	case <-ctx.Done():
	}
	s.ready.stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	for _, server := range servers {
		if shutdown := server.Shutdown(drain); shutdown != nil && err == nil {
			err = fmt.Errorf("draining: %w", shutdown)
		}
	}
	for range serving { // its listener is closed once serve has returned
		<-failed
	}
	return err
}

func serve(server *http.Server, l net.Listener) error {
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Service) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}
