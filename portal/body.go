package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// decode reads one JSON value from the body into v. Unknown fields, a second value and another media type are Invalid: what
// is not understood is not silently dropped.
func decode(c echo.Context, v any) error {
	if t, _, err := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType)); err != nil || t != echo.MIMEApplicationJSON {
		return sim.Errorf(sim.Invalid, "the body is not declared as JSON").WithHelp("send Content-Type: application/json")
	}
	d := json.NewDecoder(c.Request().Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("there is more after it")
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLong()
	}
	return jsonField(err, &sim.Error{Kind: sim.Invalid, Msg: "the body cannot be read: " + jsonWords(err), Help: "send one JSON object with the documented fields", Err: err})
}

// unknownField is how package encoding/json begins to tell of a field that it does not know; the name follows, quoted.
const unknownField = "json: unknown field "

// jsonField names the field in told that err, of package encoding/json, is about, if it is about one.
func jsonField(err, told error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return api.InField(e.Field, told)
	}
	if quoted, ok := strings.CutPrefix(err.Error(), unknownField); ok {
		if name, err := strconv.Unquote(quoted); err == nil {
			return api.InField(name, told)
		}
	}
	return told
}

func tooLong() error {
	return sim.Errorf(sim.Invalid, "the body is longer than %d bytes", maxBody).WithHelp("no request needs so much: send less")
}

// jsonWords tells a person what is wrong with the JSON, without the names of Go's types.
func jsonWords(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("field %q cannot be a %s", e.Field, e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("it is not JSON (at byte %d)", e.Offset)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "it did not arrive in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case strings.HasPrefix(err.Error(), unknownField):
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	return "it is not one JSON value"
}

// ok answers with JSON.
func ok(c echo.Context, v any) error { return c.JSON(http.StatusOK, v) }

// noStore keeps an answer with a secret out of caches.
func noStore(c echo.Context) { c.Response().Header().Set(echo.HeaderCacheControl, "no-store") }

// attach has the browser save the answer under a name.
func attach(c echo.Context, name string) {
	c.Response().Header().Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": name}))
}
