from ckanpackager.receiver.application import load

application = load()
