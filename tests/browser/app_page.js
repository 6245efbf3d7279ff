// The app: begins where it is opened, and tells what it has got once it is back with a code.
// Opened from the registry, the URL says by `iss` and `launch` where, and for which child.
(async () => {
  if (!new URLSearchParams(location.search).has('state')) {
    const isOpened = new URLSearchParams(location.search).has('launch');
    await FHIR.oauth2.authorize({
      clientId: 'growth',
      ...(isOpened ? {} : { iss: 'BASE' }),
      redirectUri: `${location.origin}/`,
      scope: `${isOpened ? 'launch' : 'launch/patient'} openid fhirUser offline_access patient/*.rs`,
      pkceMode: 'required'
    });
    return;
  }
  const client = await FHIR.oauth2.ready();
  const before = client.state.tokenResponse.access_token;
  const refused = async (path, options) => {
    try {
      await client.request({ url: path, ...options });
      return 200;
    } catch (error) {
      return error.status;
    }
  };
  const child = await client.patient.read();
  const user = await client.request(client.getFhirUser());
  const weights = await client.patient.request('Observation', { flat: true });
  await client.refresh();
  const told = {
    child: child.name[0].family,
    user: user.name[0].text,
    weights: weights.length,
    refreshed: client.state.tokenResponse.access_token !== before,
    again: (await client.patient.read()).id === child.id,
    children: (await client.request('Patient', { flat: true })).length,
    write: await refused('Patient', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ resourceType: 'Patient' })
    })
  };
  document.getElementById('found').textContent = JSON.stringify(told);
})().catch((error) => {
  document.getElementById('found').textContent = JSON.stringify({ error: String(error) });
});
