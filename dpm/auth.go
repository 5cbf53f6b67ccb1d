package dpm

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/metadata"

	"github.com/dpesim/dpesim/sim"
)

// Leeway is how far an engine's clock may be ahead of or behind ours when exp, iat and nbf are compared. Assumption.
const Leeway = 30 * time.Second

// maxToken bounds a token, in bytes; a real one has about 450.
const maxToken = 8 << 10

// authenticate gives the component whose token the call carries. It returns Unauthenticated for no token, a broken,
// expired or misdirected one and for an unknown key; Forbidden for a revoked key, with whose it was: that is for the
// event only, since nobody can check the signature any more.
func (s *Server) authenticate(ctx context.Context) (Component, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return Component{}, unauthenticated("the call carries no token", nil)
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return Component{}, unauthenticated("the authorization header is not \"Bearer <JWT>\"", nil)
	}
	return verify(token, s.opts.Host, s.opts.Clock.Now, s.trust.find)
}

// verify checks a token: ES256 and nothing else, the key that find gives for kid, iss and sub the label of that key,
// aud = host, exp and iat present and right by now, with [Leeway].
func verify(token, host string, now func() time.Time, find func(sim.KeyID) (Component, error)) (Component, error) {
	var c Component
	var claims jwt.RegisteredClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(now), jwt.WithLeeway(Leeway), jwt.WithIssuedAt(), jwt.WithExpirationRequired(), jwt.WithAudience(host))
	_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		kid, ok := t.Header["kid"].(string)
		if !ok || kid == "" {
			return nil, unauthenticated("the token's header names no key id (kid)", nil)
		}
		var err error
		c, err = find(sim.KeyID(kid))
		return c.PublicKey, err
	})
	switch {
	case err == nil:
	case sim.KindOf(err) != sim.Internal: // classified by the key function
		e, _ := errors.AsType[*sim.Error](err)
		return c, e
	case errors.Is(err, jwt.ErrTokenExpired):
		return Component{}, unauthenticated("the token has expired by the DPM's clock", err)
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued), errors.Is(err, jwt.ErrTokenNotValidYet):
		return Component{}, unauthenticated("the token is from the future by the DPM's clock", err)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return Component{}, unauthenticated("the token is for another DPM, not for "+host, err)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return Component{}, unauthenticated("the token lacks exp or aud", err)
	default:
		return Component{}, unauthenticated("the token is broken or not signed by its key with ES256", err)
	}
	if claims.IssuedAt == nil {
		return Component{}, unauthenticated("the token lacks iat", nil)
	}
	if claims.Issuer != string(c.Label) || claims.Subject != string(c.Label) {
		return Component{}, unauthenticated("the token's iss and sub are not the label of its key, "+string(c.Label), nil)
	}
	return c, nil
}

func unauthenticated(msg string, err error) error {
	return &sim.Error{
		Kind: sim.Unauthenticated, Msg: msg, Err: err,
		Help: "check the key in values.yaml, the address of the DPM and the clock of the node",
	}
}
