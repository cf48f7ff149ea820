package exchange

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"twilio-sts/config"
)

// cors puts the CORS headers for allowed origins on every answer, errors
// included, so that a page can always read why it was refused, and answers
// preflights. Origins are compared byte for byte; there are no patterns. echo's
// own middleware runs the handler for origins that are not allowed.
func cors(server *config.Server) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if strings.HasPrefix(c.Path(), logoutPath) {
				return next(c) // providers post there, no page does
			}
			header := c.Response().Header()
			header.Add("Vary", "Origin")
			if origin := requestOrigin(c.Request()); origin != "" && originListed(server, origin) {
				header.Set("Access-Control-Allow-Origin", origin)
				header.Set("Access-Control-Expose-Headers", "Retry-After")
			}
			return next(c)
		}
	}
}

// preflight answers OPTIONS on /token.
func preflight(server *config.Server) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := checkOrigin(server, c.Request()); err != nil {
			return err
		}
		header := c.Response().Header()
		header.Set("Access-Control-Allow-Methods", "POST")
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, traceparent, tracestate")
		header.Set("Access-Control-Max-Age", "600")
		return c.NoContent(http.StatusNoContent)
	}
}

// openCORS lets any page read a public document.
func openCORS(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Access-Control-Allow-Origin", "*")
		return next(c)
	}
}

// requestOrigin returns the request's origin: "" when there is none, and
// "null", which is never listed, when there is more than one.
func requestOrigin(r *http.Request) string {
	switch values := r.Header.Values("Origin"); len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	return "null"
}

func originListed(server *config.Server, origin string) bool {
	if server.InsecureAnyOrigin {
		return origin != "null"
	}
	return slices.Contains(server.AllowedOrigins, origin)
}
