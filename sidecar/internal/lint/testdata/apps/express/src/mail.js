// Mail goes out by Resend, whose events look like those of others.
import { Resend } from 'resend';

export function onMail(event) {
  switch (event.type) {
    case 'email.sent':
    case 'email.delivered':
    case 'email.bounced':
    case 'email.expired':
      return event.data.email_id;
  }
}
