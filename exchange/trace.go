package exchange

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// traceID returns the trace id of a W3C Trace Context traceparent header, so
// that a request can be followed from the app, or a new one where there is no
// valid header (https://www.w3.org/TR/trace-context/#traceparent-header).
func traceID(h http.Header) string {
	if values := h.Values("Traceparent"); len(values) == 1 {
		if id, ok := parseTraceparent(values[0]); ok {
			return id
		}
	}
	var id [16]byte
	rand.Read(id[:]) // never fails, crypto/rand
	return hex.EncodeToString(id[:])
}

func parseTraceparent(s string) (traceID string, ok bool) {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return "", false
	}
	version, trace, span, flags := s[:2], s[3:35], s[36:52], s[53:length]
	switch {
	case version == "ff", version == "00" && len(s) != length, len(s) > length && s[length] != '-':
		return "", false
	case strings.Trim(version+trace+span+flags, "0123456789abcdef") != "":
		return "", false
	case strings.Trim(trace, "0") == "", strings.Trim(span, "0") == "":
		return "", false
	}
	return trace, true
}
