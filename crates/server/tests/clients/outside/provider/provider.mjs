// A real OpenID provider on a free port, for one client; prints its issuer. Anybody may sign in, under any name and with any
// password: the pages are the ones that come with the package.
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const [clientId, clientSecret, redirectPath, endPath] = process.argv.slice(2);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        // Of a native client, the provider accepts any port of the loopback address.
        application_type: 'native',
        redirect_uris: [`http://127.0.0.1${redirectPath}`],
        post_logout_redirect_uris: [`http://127.0.0.1${endPath}`],
      },
    ],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    // Who signs in is who they say.
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `Name of ${id}`, email: `${id}@example.org`, email_verified: true }),
    }),
    pkce: { required: () => true },
    cookies: { keys: ['only for tests'] },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
