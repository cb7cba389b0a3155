package event

// Events of Pay over Voice. Numbers of cards, accounts and telephones arrive
// masked.
var (
	CallPaymentProgress  = Define[CallPaymentProgressPayload]("call.payment.progress")   // one step is done, or was not understood
	CallPaymentCompleted = Define[CallPaymentCompletedPayload]("call.payment.completed") // it is over, for better or worse
)

// Payment has the fields common to the payment events.
type Payment struct {
	PaymentMethod         string `json:"payment_method"`    // credit-card or ach-debit
	PaymentConnector      string `json:"payment_connector"` // yours, by name
	PaymentCardNumber     Text   `json:"payment_card_number"`
	PaymentCardType       string `json:"payment_card_type"` // visa, mastercard, amex, optima, discover, diners-club, jcb, maestro or enroute
	PaymentCardPostalCode Text   `json:"payment_card_postal_code"`
	ExpirationDate        Text   `json:"expiration_date"` // MMYY
	SecurityCode          Text   `json:"security_code"`
	BankAccountNumber     Text   `json:"bank_account_number"`
	BankAccountType       string `json:"bank_account_type"` // consumer-checking, consumer-savings, commercial-checking, …
	BankRoutingNumber     Text   `json:"bank_routing_number"`
}

// CallPaymentProgressPayload is the payload of [CallPaymentProgress].
type CallPaymentProgressPayload struct {
	Call
	Payment
	PaymentStep   string `json:"payment_step"`   // payment-card-number, expiration-date, postal-code, security-code, bank-routing-number, bank-account-number or payment-processing
	PaymentStatus string `json:"payment_status"` // of the step: completed, failed or processing
	Attempt       Int    `json:"attempt"`        // which try of the step, from 1
	ErrorType     string `json:"error_type"`     // timeout, invalid-card-number, invalid-date, input-matching-failed, …
}

// CallPaymentCompletedPayload is the payload of [CallPaymentCompleted].
type CallPaymentCompletedPayload struct {
	Call
	Payment
	Result                  string `json:"result"`                    // success, cancelled, payment-connector-error, internal-error or too-many-failed-attempts
	ChargeID                string `json:"charge_id"`                 // at the payment processor
	TokenID                 string `json:"token_id"`                  // if the card was tokenised instead of charged
	PaymentConfirmationCode Text   `json:"payment_confirmation_code"` // of the processor
	PaymentError            string `json:"payment_error"`             // such as pay_action_failed
	PayErrorCode            Text   `json:"pay_error_code"`            // such as card_declined
	ConnectorError          Value  `json:"connector_error"`           // of the processor: text or an object
}
