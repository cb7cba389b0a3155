import { post } from './helpers';

test('a name that Telnyx does not send is left alone', async () => {
  const event_type = 'message.delivered';
  const res = await post('/telnyx', { data: { event_type: 'message.delivered', payload: {} } });
  expect(res.body.done).toBe('final');
  expect(event_type === 'message.delivered').toBe(true);
});
