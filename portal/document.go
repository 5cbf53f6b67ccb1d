package portal

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// documentRoutes registers the document of the API, which everybody may read: it says what there is, not what is in it.
func (p *Portal) documentRoutes(r *router) {
	r.api(http.MethodGet, "/openapi.json", needNothing, func(c echo.Context) error { return r.getDocument(c) }, op("openAPI", "Give this document").gives(200, map[string]any{}).asked())
}

// getDocument handles GET /openapi.json.
func (r *router) getDocument(c echo.Context) error {
	b, err := document(r.operations)
	if err != nil {
		return err
	}
	return okUnlessKnown(c, b)
}

// okUnlessKnown answers with JSON that has its own digest as entity tag: 304 to who has it already.
func okUnlessKnown(c echo.Context, b []byte) error {
	tag := `"` + digest(string(b)) + `"`
	c.Response().Header().Set("ETag", tag)
	c.Response().Header().Set(echo.HeaderCacheControl, "no-cache") // may be kept, if it is asked for again
	if has(c.Request().Header.Get("If-None-Match"), tag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.JSONBlob(http.StatusOK, b)
}

// has tells whether a list of entity tags has one, by the weak comparison of RFC 9110, section 8.8.3.2.
func has(list, tag string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(s string) bool {
		s = strings.TrimPrefix(strings.TrimSpace(s), "W/")
		return s == tag || s == "*"
	})
}
