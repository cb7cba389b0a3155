// Command gin receives Telnyx webhooks in a server that uses gin.
//
//	TELNYX_PUBLIC_KEY=… go run ./gin
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"

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

	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello\n") })
	r.POST("/webhooks", gin.WrapH(webhooks))
	return r, nil
}
