package event

import (
	"bytes"
)

// Call control events of AI assistants, and of Dialogflow.
var (
	CallAIGatherEnded                 = Define[AIGather]("call.ai_gather.ended")                   // the assistant has what you asked for, or gave up
	CallAIGatherPartialResults        = Define[AIGather]("call.ai_gather.partial_results")         // some of it
	CallAIGatherMessageHistoryUpdated = Define[AIGather]("call.ai_gather.message_history_updated") // something was said

	CallConversationCreated           = Define[CallConversationCreatedPayload]("call.conversation.created") // the assistant's conversation has an id; newer SDKs have it (Python, Java, Ruby, PHP)
	CallConversationEnded             = Define[CallConversationEndedPayload]("call.conversation.ended")
	CallConversationInsightsGenerated = Define[CallConversationInsightsGeneratedPayload]("call.conversation_insights.generated")
	CallConversationMessagesAdded     = Define[Call]("call.conversation.messages_added") // named in an example of Telnyx's; its own fields are unknown

	DialogflowDetectIntentResponse = Define[DialogflowDetectIntentResponsePayload]("dialogflow.detectintent.response")
)

// AIGather is the payload of the events of a gather by an AI assistant.
type AIGather struct {
	Call
	MessageHistory List[AIMessage] `json:"message_history"` // the conversation so far
	Result         Value           `json:"result"`          // when ended: an object by the schema of your request
	PartialResults Value           `json:"partial_results"` // before: what is known of it
	Status         string          `json:"status"`          // when ended: valid or invalid
}

// AIMessage is something that was said in a conversation with an assistant.
type AIMessage struct {
	Role    string `json:"role"` // assistant or user
	Content string `json:"content"`
}

// CallConversationCreatedPayload is the payload of [CallConversationCreated].
type CallConversationCreatedPayload struct {
	Call
	ConversationID string `json:"conversation_id"`
}

// CallConversationEndedPayload is the payload of [CallConversationEnded].
type CallConversationEndedPayload struct {
	Call
	AssistantID    string  `json:"assistant_id"`
	ConversationID string  `json:"conversation_id"`
	DurationSec    Decimal `json:"duration_sec"` // seconds
	Reason         string  `json:"reason"`       // such as customer_disconnect
	LLMModel       string  `json:"llm_model"`    // language model
	STTModel       string  `json:"stt_model"`    // speech to text
	TTSModelID     string  `json:"tts_model_id"` // text to speech
	TTSProvider    string  `json:"tts_provider"`
	TTSVoiceID     string  `json:"tts_voice_id"`
}

// CallConversationInsightsGeneratedPayload is the payload of
// [CallConversationInsightsGenerated].
type CallConversationInsightsGeneratedPayload struct {
	Call
	InsightGroupID string              `json:"insight_group_id"`
	Results        List[InsightResult] `json:"results"`
}

// InsightResult is the finding of one insight in a conversation.
type InsightResult struct {
	InsightID   string `json:"insight_id"`
	InsightName string `json:"insight_name"` // in some events
	Result      Value  `json:"result"`       // text, or an object by the schema of the insight
}

// UnmarshalJSON accepts an object or a result on its own. It never fails.
func (r *InsightResult) UnmarshalJSON(b []byte) error {
	*r = InsightResult{}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '{' {
		return r.Result.UnmarshalJSON(b)
	}
	type plain InsightResult
	gently(b, (*plain)(r))
	return nil
}

// DialogflowDetectIntentResponsePayload is the payload of
// [DialogflowDetectIntentResponse].
type DialogflowDetectIntentResponsePayload struct {
	Call
	StreamID            string                   `json:"stream_id"`
	Transcript          string                   `json:"transcript"` // what the caller said
	Confidence          Decimal                  `json:"confidence"` // 0 to 1
	IsFinal             bool                     `json:"is_final"`
	FulfillmentMessages List[FulfillmentMessage] `json:"fulfillment_messages"` // what Dialogflow answers
}

// FulfillmentMessage is an answer of Dialogflow.
type FulfillmentMessage struct {
	Text List[string] `json:"text"`
}
