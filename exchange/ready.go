package exchange

import (
	"net/http"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"twilio-sts/exchange/internal/idtoken"
)

// readiness remembers that the service has been ready once: from then on an
// identity provider's bad day takes no replica out of service.
type readiness struct{ reached, stopped atomic.Bool }

func (r *readiness) stop() { r.stopped.Store(true) }

// Ready reports whether every issuer whose keys are to be waited for has had
// keys at some time, and the service is not stopping.
func (s *Service) Ready() bool { return s.current.Load().isReady() }

func (s *snapshot) isReady() bool {
	if s.ready.stopped.Load() {
		return false
	}
	if s.ready.reached.Load() {
		return true
	}
	for _, keys := range s.verifier.Keys() {
		if !keys.Ready && s.cfg.Issuer(keys.Issuer).WaitForKeys {
			return false
		}
	}
	s.ready.reached.Store(true)
	return true
}

type readyAnswer struct {
	Status  string              `json:"status"` // ready or "not ready"
	Issuers []idtoken.KeyStatus `json:"issuers,omitempty"`
}

func (s *snapshot) readyz(c echo.Context) error         { return s.answerReady(c, nil) }
func (s *snapshot) readyzByIssuer(c echo.Context) error { return s.answerReady(c, s.verifier.Keys()) }

func (s *snapshot) answerReady(c echo.Context, issuers []idtoken.KeyStatus) error {
	if !s.isReady() {
		return c.JSON(http.StatusServiceUnavailable, readyAnswer{"not ready", issuers})
	}
	return c.JSON(http.StatusOK, readyAnswer{"ready", issuers})
}
