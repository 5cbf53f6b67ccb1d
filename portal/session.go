package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
)

// How long a browser stays signed in without being used, and how exactly that is noted: in the machine's time. A person who
// moves the simulator's clock by months must not be thrown out by it.
const (
	sessionIdle  = 12 * time.Hour
	sessionNoted = time.Minute
)

// viaSession is how the audit log calls a browser that is signed in.
const viaSession = "session"

// digest is how cookies and API tokens are stored and looked up. They are random and long, so that a plain SHA-256 tells
// nothing of them and its place in an index nothing by its timing.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// authenticate tells who makes a request: by API token, else by session. It gives nil if nobody says who they are, and
// Unauthenticated for a token that is not good (any more). A session that is over is nobody's.
func (p *Portal) authenticate(c echo.Context) (*identity, error) {
	if h := c.Request().Header.Get(echo.HeaderAuthorization); h != "" {
		return p.byToken(c, h)
	}
	cookie, err := c.Cookie(p.cookieName())
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // no cookie: nobody
	}
	ctx, now, key := c.Request().Context(), p.wall.Now(), digest(cookie.Value)
	u, seen, err := p.store.Session(ctx, key, now.Add(-sessionIdle))
	switch {
	case err != nil && sim.KindOf(err) == sim.NotFound:
		return nil, nil //nolint:nilnil // over: nobody
	case err != nil:
		return nil, err
	}
	if now.Sub(seen) > sessionNoted {
		if err := p.store.SessionSeen(ctx, key, now); err != nil {
			return nil, err
		}
	}
	return &identity{api.Identity{User: u.User, Via: viaSession, Scopes: api.Scopes()}}, nil
}

// byToken reads an Authorization header.
func (p *Portal) byToken(c echo.Context, header string) (*identity, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, sim.Errorf(sim.Unauthenticated, "the Authorization header is not understood").WithHelp("send 'Authorization: Bearer TOKEN'")
	}
	ctx, as := c.Request().Context(), c.Request().Header.Get(api.AsHeader)
	if p.opts.Token != "" && p.opts.Token.Equal(sim.Secret(token)) {
		if as == "" {
			as = store.TrainerID
		}
		u, err := p.store.User(ctx, as)
		if err != nil {
			return nil, err
		}
		return &identity{api.Identity{User: u.User, Via: "command line", Scopes: api.Scopes()}}, nil
	}
	if as != "" {
		return nil, sim.Errorf(sim.Forbidden, "an API token speaks for its own user alone").WithHelp("leave %s out, or use the simulator's own token", api.AsHeader)
	}
	t, u, err := p.store.TokenOf(ctx, digest(token))
	if err != nil && sim.KindOf(err) == sim.NotFound {
		msg, _ := sim.Explain(err)
		return nil, sim.Errorf(sim.Unauthenticated, "%s", msg).WithHelp("make another one in the portal, under API tokens")
	}
	if err != nil {
		return nil, err
	}
	return &identity{api.Identity{User: u.User, Via: "token " + t.Name, Scopes: t.Scopes}}, nil
}

// cookieName names the session cookie by the port, because browsers share cookies between the ports of a host: two
// simulators on one machine must not sign each other out.
func (p *Portal) cookieName() string {
	_, port, _ := net.SplitHostPort(p.opts.Listener.Addr().String())
	return "dpesim-session-" + port
}

// signIn begins a new session for u in the browser that asks, and ends the one that it had: a cookie that somebody planted
// is never one that is signed in.
func (p *Portal) signIn(c echo.Context, u store.User) error {
	ctx := withIdentity(c, identity{api.Identity{User: u.User, Via: viaSession}})
	if old, err := c.Cookie(p.cookieName()); err == nil {
		if err := p.store.SignOut(ctx, digest(old.Value)); err != nil {
			return err
		}
	}
	secret, now := rand.Text(), p.wall.Now()
	p.opts.Conceal.Note(sim.Secret(secret))
	if err := p.store.SignIn(ctx, digest(secret), u.ID, now, now.Add(-sessionIdle)); err != nil {
		return err
	}
	c.SetCookie(p.cookie(c, secret, 0))
	return nil
}

// signOut ends the browser's session, if it has one.
func (p *Portal) signOut(c echo.Context) error {
	if old, err := c.Cookie(p.cookieName()); err == nil {
		if err := p.store.SignOut(c.Request().Context(), digest(old.Value)); err != nil {
			return err
		}
	}
	c.SetCookie(p.cookie(c, "", -1))
	return nil
}

func (p *Portal) cookie(c echo.Context, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: p.cookieName(), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: c.IsTLS(), // over plain HTTP, which is on loopback, some browsers would drop it
	}
}

// Passwords. bcrypt reads no more than 72 bytes, so that longer ones are refused rather than cut.
const (
	minPassword = 8
	maxPassword = 72
)

// hashPassword gives what is kept of a new password. It returns Invalid for one that is too short or too long.
func (p *Portal) hashPassword(s sim.Secret) (string, error) {
	p.opts.Conceal.Note(s)
	if n := len(s.Reveal()); n < minPassword || n > maxPassword {
		return "", sim.Errorf(sim.Invalid, "the password has %d bytes", n).WithHelp("use %d to %d bytes", minPassword, maxPassword)
	}
	b, err := bcrypt.GenerateFromPassword([]byte(s.Reveal()), bcrypt.DefaultCost)
	return string(b), err
}

// byPassword gives the user who signs in with a password. Who is unknown and what is wrong are told in the same words.
func (p *Portal) byPassword(c echo.Context, id string, password sim.Secret) (store.User, error) {
	u, err := p.store.User(c.Request().Context(), id)
	unknown := err != nil && sim.KindOf(err) == sim.NotFound
	if err != nil && !unknown {
		return u, err
	}
	hash := u.Password
	if unknown {
		hash = store.DemoHash // any: comparing takes as long, so that timing does not tell which users exist
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password.Reveal())) != nil || unknown {
		return u, sim.Errorf(sim.Unauthenticated, "user and password do not fit").WithHelp("check both; demo users have the password %q", store.DemoPassword)
	}
	return u, nil
}
