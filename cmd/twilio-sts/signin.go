package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// signIn signs a persona in at the development provider the way an app does
// it, by authorization code with PKCE (RFC 6749 §4.1, RFC 7636), and returns
// the ID token. It answers the provider's page itself.
func signIn(ctx context.Context, issuer, clientID, persona string) (string, error) {
	app := oauth2.Config{
		ClientID:    clientID,
		RedirectURL: "http://127.0.0.1/callback", // never followed
		Scopes:      []string{"openid"},
		Endpoint: oauth2.Endpoint{
			AuthURL:   issuer + "/authorize",
			TokenURL:  issuer + "/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	verifier, state := oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	code, err := choosePersona(ctx, app.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), persona, state)
	if err != nil {
		return "", fmt.Errorf("signing in as %s: %w", persona, err)
	}
	token, err := app.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return "", fmt.Errorf("redeeming the code: %w", err)
	}
	idToken, ok := token.Extra("id_token").(string)
	if !ok {
		return "", errors.New("the provider's answer has no id_token")
	}
	return idToken, nil
}

// choosePersona presses the persona's button on the provider's page and
// returns the code that the redirect carries.
func choosePersona(ctx context.Context, authURL, persona, state string) (string, error) {
	form := url.Values{"persona": {persona}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, authURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("the provider answered %s", resp.Status)
	}
	if back.Query().Get("state") != state {
		return "", errors.New("the provider lost the state")
	}
	if code := back.Query().Get("code"); code != "" {
		return code, nil
	}
	return "", fmt.Errorf("the provider says %s", back.Query().Get("error"))
}
