package exchange

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"twilio-sts/config"
)

// operatorsOnly lets only operators through: with a token, who sends it as a
// bearer token (RFC 6750), wherever from; without one, who calls from this
// machine with nothing in between. A listener on loopback is no protection by
// itself: a proxy beside it and a browser behind it call from there too.
func operatorsOnly(token config.Secret) echo.MiddlewareFunc {
	want := sha256.Sum256([]byte(token.Reveal()))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if !token.IsSet() {
				if !isDirectLoopback(r) {
					return malformedWith(http.StatusForbidden, "without server.admin_token this answers only direct requests from its own machine, by address or as localhost")
				}
				return next(c)
			}
			sent, err := bearerToken(r.Header)
			// Hashes, so that the time taken tells nothing of the length either.
			got := sha256.Sum256([]byte(sent))
			if err != nil || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				challenge := "Bearer"
				if sent != "" {
					challenge = `Bearer error="invalid_token"`
				}
				c.Response().Header().Set("WWW-Authenticate", challenge)
				return malformedWith(http.StatusUnauthorized, "this needs Authorization: Bearer and the token of server.admin_token")
			}
			return next(c)
		}
	}
}

// isDirectLoopback reports whether a request comes from a program on this
// machine, by no proxy, and not from another's page: of one whose name was made
// to point here (DNS rebinding) the browser sends that name as Host, of one
// elsewhere it sends Origin, or says so in Sec-Fetch-Site (Fetch Metadata §2.4).
func isDirectLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	for name, values := range r.Header {
		switch name {
		case "Forwarded", "Via", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "Origin":
			return false
		case "Sec-Fetch-Site":
			for _, site := range values {
				if site != "none" && site != "same-origin" {
					return false
				}
			}
		}
		if strings.HasPrefix(name, "X-Forwarded-") {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else if h, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(h, "]")
	}
	_, err = netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost")
}
