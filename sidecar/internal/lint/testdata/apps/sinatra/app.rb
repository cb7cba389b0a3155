require "sinatra"
require "telnyx"

OUTCOMES = %w[message.finalized message.delivered].freeze # WRONG message.finalized
STATES = %w[delivered failed].freeze

post "/webhooks" do
  event = JSON.parse(request.body.read)["data"]
  event_type = event["event_type"]

  case event_type
  when "message.received"
    reply event["payload"]
  when "message.sent", "message.failed" # WRONG message.finalized
    logger.info "sent"
  when "call.initiated"
    answer event["payload"]["call_control_id"]
  when "call.playback.end" # WRONG call.playback.ended
    hang_up
  when /^conference\./
    nil
  end

  halt 204 if event_type == "fax.sent" # WRONG fax.delivered
  halt 204 if event_type.eql?("fax.received")
  if "email.expired".eql?(event_type) # WRONG email.bounced
    halt 204
  end
  HANDLERS.fetch(event_type) { ->(_) {} }.call(event)
end

HANDLERS = {
  "call.answered" => method(:answer),
  "call.hangup" => ->(event) { puts "It's over: #{event["id"]}" },
}

# Notes: when "message.delivered" comes we would be surprised.
def audit(name)
  case name
  when "order.paid", "order.shipped" then true
  end
end
