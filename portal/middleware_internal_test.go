package portal

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/sim/clock"
)

func TestABodyThatTricklesInIsGivenUp(t *testing.T) {
	t.Parallel()
	p := &Portal{wall: clock.New()}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { _ = c.String(http.StatusBadRequest, err.Error()) }
	e.Use(p.bound(50 * time.Millisecond))
	e.POST("/", func(c echo.Context) error {
		var v any
		if err := decode(c, &v); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
	s := httptest.NewServer(e)
	defer s.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
	in := bufio.NewReader(conn)
	answer := func() (int, string) {
		t.Helper()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	for range 2 { // a body in time leaves the connection as it was
		if _, err := io.WriteString(conn, head+"2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		if code, text := answer(); code != http.StatusNoContent {
			t.Fatalf("a body in time: %d %s", code, text)
		}
	}
	if _, err := io.WriteString(conn, head+"9\r\n\r\n{"); err != nil { // and no more
		t.Fatal(err)
	}
	if code, text := answer(); code != http.StatusBadRequest || !strings.Contains(text, "did not arrive in time") {
		t.Errorf("a slow body: %d %s", code, text)
	}
	if _, err := in.ReadByte(); err == nil {
		t.Error("the connection of a slow body stays open")
	}
}
