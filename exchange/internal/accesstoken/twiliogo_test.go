package accesstoken

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client/jwt"
)

// The facts about twilio-go that mint goes around. Where one of these fails
// after an upgrade, mint can perhaps do with less.

func params() jwt.AccessTokenParams {
	return jwt.AccessTokenParams{AccountSid: "AC" + hex32, SigningKeySid: "SK" + hex32, Secret: secret, Identity: "u"}
}

func TestTwilioGoLengthensEveryTTLToAnHour(t *testing.T) {
	for _, ttl := range []float64{-5, 1, 60, 3599} {
		p := params()
		p.Ttl = ttl
		token := jwt.CreateAccessToken(p)
		payload := token.GeneratePayload()
		if lives := payload["exp"].(float64) - payload["nbf"].(float64); lives != 3600 {
			t.Errorf("a ttl of %v gives %v", ttl, lives)
		}
	}
}

func TestTwilioGoPutsTheWallClockInPlaceOfAnID(t *testing.T) {
	for {
		one, two := jwt.CreateAccessToken(params()), jwt.CreateAccessToken(params())
		first, second := one.GeneratePayload(), two.GeneratePayload()
		if first["nbf"] != second["nbf"] {
			continue // a second ended in between
		}
		if want := "SK" + hex32 + "-" + strconv.Itoa(int(first["nbf"].(float64))); first["jti"] != want || second["jti"] != want {
			t.Errorf("jti %v and %v, want %s twice", first["jti"], second["jti"], want)
		}
		return
	}
}

func TestTwilioGoAlwaysWritesNbfAndNoIat(t *testing.T) {
	token := jwt.CreateAccessToken(params())
	payload := token.GeneratePayload()
	_, nbf := payload["nbf"].(float64)
	if iat, ok := payload["iat"]; ok || !nbf {
		t.Errorf("nbf %v, iat %v", payload["nbf"], iat)
	}
}

func TestTwilioGoTellsNoRoomByAnEmptyGrant(t *testing.T) {
	if diff := cmp.Diff(map[string]any{}, (&jwt.VideoGrant{}).ToPayload()); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestTwilioGoDropsParamsWithoutAnApplication(t *testing.T) {
	grant := &jwt.VoiceGrant{Outgoing: jwt.Outgoing{ApplicationParams: map[string]any{"team": "eu"}}}
	if diff := cmp.Diff(map[string]any{}, grant.ToPayload()); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestTwilioGoSharesTheCallersGrants(t *testing.T) {
	shared := make([]jwt.BaseGrant, 0, 1)
	p := params()
	p.Grants = shared
	one, two := jwt.CreateAccessToken(p), jwt.CreateAccessToken(p)
	one.AddGrant(&jwt.VideoGrant{Room: "of one"})
	two.AddGrant(&jwt.VideoGrant{Room: "of two"})
	if diff := cmp.Diff(map[string]any{"identity": "u", "video": map[string]any{"room": "of two"}}, one.GeneratePayload()["grants"]); diff != "" {
		t.Errorf("grants of the first token (-want +got):\n%s", diff)
	}
}

func TestTwilioGoPanicsWithoutASecret(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it did not panic")
		}
	}()
	p := params()
	p.Secret = ""
	token := jwt.CreateAccessToken(p)
	if _, err := token.ToJwt(); err != nil {
		t.Errorf("error %v, want a panic", err)
	}
}
