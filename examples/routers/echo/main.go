// Command echo receives Telnyx webhooks in a server that uses echo.
//
//	TELNYX_PUBLIC_KEY=… go run ./echo
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"

	"github.com/hookswitch/hookswitch/examples/routers"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

func main() {
	handler, err := newHandler(os.Getenv("TELNYX_PUBLIC_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	log.Print("webhooks: http://localhost:5000/webhooks")
	log.Fatal(http.ListenAndServe("localhost:5000", handler))
}

func newHandler(publicKey string) (http.Handler, error) {
	keys, err := webhook.ParseKeys(publicKey)
	if err != nil {
		return nil, err
	}
	verifier := &webhook.Verifier{Keys: keys}
	webhooks := verifier.Handler(routers.Handlers())

	e := echo.New()
	e.HideBanner = true
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "hello\n") })
	e.POST("/webhooks", echo.WrapHandler(webhooks))
	return e, nil
}
