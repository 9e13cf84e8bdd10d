// A caller that knows Intently from its .proto files alone.
//
// Usage: node client.mjs ADDRESS INCLUDE_DIR...
// Makes one call of each kind and prints what it got as one JSON object.
import fs from 'node:fs';
import path from 'node:path';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const [address, ...includeDirs] = process.argv.slice(2);
const definition = protoLoader.loadSync(['intently/v1/intent_service.proto', 'intently/v1/model_service.proto'], {
  includeDirs,
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { IntentService, ModelService } = grpc.loadPackageDefinition(definition).intently.v1;
const intents = new IntentService(address, grpc.credentials.createInsecure());
const models = new ModelService(address, grpc.credentials.createInsecure());

const unary = (client, method, request) =>
  new Promise((resolve, reject) => {
    const deadline = new Date(Date.now() + 30_000);
    client[method](request, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });

const answer = ({ request_id, outcome, predictions }) => ({ request_id, outcome, predictions });

// The google.rpc details of an error, which travel beside its code.
const details = (error) => {
  const root = new protobuf.Root();
  root.resolvePath = (_, target) =>
    includeDirs.map((dir) => path.join(dir, target)).find((file) => fs.existsSync(file)) ?? null;
  root.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto'], { keepCase: true });
  const [packed] = error.metadata.get('grpc-status-details-bin');
  const status = root.lookupType('google.rpc.Status').decode(packed);
  return Object.fromEntries(
    status.details.map((detail) => {
      const type = root.lookupType(detail.type_url.split('/').pop());
      return [type.name, type.toObject(type.decode(detail.value))];
    }),
  );
};

const failure = async (call) => {
  try {
    await call;
  } catch (error) {
    return { code: grpc.status[error.code], details: details(error) };
  }
  return null;
};

const stream = (items) =>
  new Promise((resolve, reject) => {
    const call = intents.ClassifyStream({ deadline: new Date(Date.now() + 30_000) });
    const received = [];
    call.on('data', (message) => {
      received.push(message.message === 'response' ? { response: answer(message.response) } : message);
    });
    call.on('error', reject);
    call.on('end', () => resolve(received));
    call.write({ config: { ordered: true } });
    items.forEach((text, index) => call.write({ item: { request: { request_id: `${index}`, text } } }));
    call.end();
  });

const { models: listed } = await unary(models, 'ListModels', {});
const context = [{ role: 'ROLE_USER', text: 'my card is lost' }];
const result = {
  model: listed[0],
  intents: await unary(models, 'ListIntents', { parent: listed[0].name, page_size: 1000 }),
  classify: answer(await unary(intents, 'Classify', { request_id: 'node', text: 'wake me at 七', context, top_k: 3 })),
  batch: await unary(intents, 'BatchClassify', { requests: [{ text: 'wake me' }, { text: '' }] }),
  stream: await stream(['wake me', '', 'what is my balance']),
  bad: await failure(unary(intents, 'Classify', { text: 'wake me', top_k: -1 })),
  unknown: await failure(unary(intents, 'Classify', { text: 'wake me', model: { label: 'canary' } })),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
intents.close();
models.close();
