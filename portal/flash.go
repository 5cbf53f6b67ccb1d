package portal

import (
	"sync"
	"time"

	"github.com/dpesim/dpesim/portal/api"
)

// made keeps API tokens that were just made on a page until the page that shows them is asked for, which is the next thing
// that a browser does. It is safe for concurrent use.
type made struct {
	mu     sync.Mutex
	tokens []madeToken
}

// madeToken is an API token that was not shown yet.
type madeToken struct {
	user  string
	at    time.Time // by the machine's clock
	token api.NewToken
}

// How long a token waits to be shown, by the machine's clock, and how many may wait.
const (
	madeLife = time.Minute
	madeMost = 100
)

// put keeps a token that a user made now.
func (m *made) put(user string, t api.NewToken, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(now)
	if len(m.tokens) == madeMost {
		m.tokens = m.tokens[1:]
	}
	m.tokens = append(m.tokens, madeToken{user, now, t})
}

// take gives a token of a user that was not shown yet, once.
func (m *made) take(user, id string, now time.Time) (api.NewToken, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(now)
	for i, x := range m.tokens {
		if x.user == user && x.token.ID == id {
			m.tokens = append(m.tokens[:i:i], m.tokens[i+1:]...)
			return x.token, true
		}
	}
	return api.NewToken{}, false
}

func (m *made) expire(now time.Time) {
	for len(m.tokens) > 0 && now.Sub(m.tokens[0].at) > madeLife {
		m.tokens = m.tokens[1:]
	}
}
