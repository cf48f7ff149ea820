package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"twilio-sts": main})
}

// TestScripts runs the commands as a person would, one file per theme. With
// UPDATE_SCRIPTS set it writes down what they print instead of comparing.
func TestScripts(t *testing.T) {
	var signer signer
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000000")
			env.Setenv("TWILIO_API_KEY_SID", "SK00000000000000000000000000000000")
			env.Setenv("TWILIO_API_KEY_SECRET", "ThisIsNoSecretButLooksLikeOne000")
			env.Setenv("TOKEN", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  exits,
			"encode": encode,
			"sign":   signer.sign,
			"wrap":   wrapToken,
		},
	})
}

// exits is the script command
//
//	exits 2 command [argument...]
//
// which is exec for a command that is to end with the given code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [argument...]")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := args[0]; strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

// encode is the script command
//
//	encode header.json claims.json token.jwt
//
// which writes a token whose signature nobody made.
func encode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: encode header.json claims.json token.jwt")
	}
	token := segment([]byte(ts.ReadFile(args[0]))) + "." + segment([]byte(ts.ReadFile(args[1]))) + "." + segment([]byte("signature"))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(token+"\n"), 0o600))
}

// wrapToken is the script command
//
//	wrap token.jwt format file
//
// which writes a token as it stands in something else.
func wrapToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: wrap token.jwt format file")
	}
	text := fmt.Sprintf(args[1], strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text+"\n"), 0o600))
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// A signer is an identity provider in as far as scripts need one. It has a key
// for each name of a key set, and scripts run in parallel.
type signer struct {
	mu   sync.Mutex
	keys map[string]*rsa.PrivateKey
}

func (s *signer) key(name string) (*rsa.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.keys[name]; ok {
		return key, nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	if s.keys == nil {
		s.keys = map[string]*rsa.PrivateKey{}
	}
	s.keys[name] = key
	return key, nil
}

// sign is the script command
//
//	sign keys.json claims.json token.jwt
//
// which signs the claims as an ID token, good for an hour from now unless they
// say otherwise, and writes the key set that verifies it.
func (s *signer) sign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sign keys.json claims.json token.jwt")
	}
	key, err := s.key(args[0])
	ts.Check(err)
	now := time.Now().Unix()
	claims := map[string]any{"iat": now, "exp": now + 3600}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &claims))
	payload, err := json.Marshal(claims)
	ts.Check(err)
	input := segment([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + segment(payload)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(input+"."+segment(signature)+"\n"), 0o600))

	keys, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256",
		"n": segment(key.N.Bytes()),
		"e": segment(big.NewInt(int64(key.E)).Bytes()),
	}}})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), keys, 0o600))
}
